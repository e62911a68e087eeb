"""Every byte of the weights counts, and is read once."""

import os
import shutil
import time
from pathlib import Path

import pytest
from tests.tiny import base_tensors, tiny_base, write_safetensors

from lorarack.registry.base_model import content
from lorarack.registry.base_model.files import FolderFiles
from lorarack.registry.base_model.fingerprint import read_base


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORARACK_HOME", str(tmp_path / "home"))
    folder = tiny_base(tmp_path / "base")
    settle(folder / "model.safetensors")
    return folder


def settle(path: Path) -> None:
    """As if it had been written a while ago."""
    time.sleep(0.06)
    os.utime(path, ns=(path.stat().st_atime_ns, time.time_ns() - 10**9))
    time.sleep(0.06)


def overwrite(path: Path, place: int) -> None:
    """One byte of the last tensor, with the file's times put back."""
    times = path.stat()
    with path.open("r+b") as file:
        file.seek(-place, os.SEEK_END)
        byte = file.read(1)
        file.seek(-place, os.SEEK_END)
        file.write(bytes([byte[0] ^ 1]))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize("place", [1, 700, 3000, 9000])
def test_one_bit_anywhere_is_another_model(folder: Path, place: int) -> None:
    """Also where the file's size and time of change are what they were."""
    before = read_base(FolderFiles(folder))
    overwrite(folder / "model.safetensors", place)
    after = read_base(FolderFiles(folder))
    assert {after.fingerprint, after.by_files}.isdisjoint({before.fingerprint, before.by_files})


def test_a_file_is_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = read_base(FolderFiles(folder))
    monkeypatch.setattr(content, "_hash", lambda *_: pytest.fail("read again"))
    heard: list[int] = []
    assert read_base(FolderFiles(folder), heard.append) == first
    assert sum(heard) == (folder / "model.safetensors").stat().st_size


def test_a_file_that_was_just_written_is_not_remembered(folder: Path, tmp_path: Path) -> None:
    """It may be written to again within one tick of the clock."""
    write_safetensors(folder / "model.safetensors", base_tensors(1))
    content.file_content(folder / "model.safetensors")
    assert not list((tmp_path / "home" / "cache").rglob("*.json"))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"identity": 3}', '{"identity": [1, 2, 3, 4], "tensors": 3}'])
def test_a_memory_that_makes_no_sense_is_no_memory(folder: Path, tmp_path: Path, text: str) -> None:
    before = read_base(FolderFiles(folder))
    (note,) = (tmp_path / "home" / "cache" / "weights").iterdir()
    note.write_text(text)
    assert read_base(FolderFiles(folder)) == before


def test_progress_counts_the_tensors(folder: Path) -> None:
    heard: list[int] = []
    read_base(FolderFiles(folder), heard.append)
    assert sum(heard) == sum(array.nbytes for array in base_tensors().values())


def test_shards_give_the_same_fingerprint_but_not_the_same_files(folder: Path, tmp_path: Path) -> None:
    one, sharded = read_base(FolderFiles(folder)), read_base(FolderFiles(tiny_base(tmp_path / "s", shards=3)))
    assert (one.fingerprint == sharded.fingerprint, one.by_files == sharded.by_files) == (True, False)


def test_a_copy_of_the_files_is_the_same_by_both(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    one, copy = read_base(FolderFiles(folder)), read_base(FolderFiles(tmp_path / "copy"))
    assert (one.fingerprint, one.by_files) == (copy.fingerprint, copy.by_files)
