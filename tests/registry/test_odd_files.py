"""Pipes, sockets, links and folders where files belong: said or passed by, never waited for, never removed."""

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.registry.fuzzing import in_time

from lorarack.registry import Registry
from lorarack.registry.errors import LorarackError


def pipe(path: Path) -> None:
    os.mkfifo(path)


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def folder(path: Path) -> None:
    path.mkdir()


def listening(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # a socket's path has 108 bytes at most
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


ODD = [pipe, loop, endless, folder, listening]
Make = Callable[[Path], None]


@pytest.fixture
def blobs(registry: Registry, adapter: Path) -> list[Path]:
    """The stored files of ``support@1``."""
    registry.publish(adapter, "support", base="tiny")
    return [path for path in (Path(registry.location) / "blobs").rglob("*") if path.is_file()]


@pytest.mark.parametrize("make", ODD)
def test_gc_passes_by_what_is_no_file(make: Make, registry: Registry, blobs: list[Path]) -> None:
    """Under a blob's name, as a leftover, as a folder of blobs, under other names."""
    root = Path(registry.location) / "blobs" / "sha256"
    (root / "00").mkdir(exist_ok=True)
    strange = [
        root / "00" / ("00" + "1" * 62),
        root / "00" / ("z" * 64),
        root / ".new-left",
        root / "zz",
        root / "00" / "x",
    ]
    for path in strange:
        make(path)
    with in_time():
        registry.gc(grace_seconds=0)
        registry.gc(grace_seconds=0, dry_run=True)
    assert all(os.path.lexists(path) for path in strange)
    assert all(path.is_file() for path in blobs)


@pytest.mark.parametrize("make", ODD)
def test_a_blob_that_became_something_else_is_an_error_of_ours(
    make: Make, registry: Registry, blobs: list[Path], adapter: Path, tmp_path: Path
) -> None:
    for path in blobs:
        path.unlink()
        make(path)
    acts: list[Callable[[], object]] = [
        lambda: registry.verify("support@1"),
        lambda: registry.fetch("support@1", tmp_path / "out"),
        lambda: registry.export_to(tmp_path / "export"),
    ]
    for act in acts:
        with in_time(), pytest.raises(LorarackError):
            act()
    with in_time():
        try:
            registry.publish(adapter, "support", base="tiny")
        except LorarackError:
            assert make is folder, "anything else is replaced by the good file"


@pytest.mark.parametrize("make", ODD)
@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json", "model.safetensors.index.json"])
def test_a_base_of_odd_files_is_refused_or_read(
    make: Make, name: str, registry: Registry, base_folder: Path, tmp_path: Path
) -> None:
    place = shutil.copytree(base_folder, tmp_path / "base")
    (place / name).unlink(missing_ok=True)
    make(place / name)
    said = "read"
    with in_time():
        try:
            registry.add_base(str(place), "odd")
        except LorarackError as error:
            said = str(error)
    assert 0 < len(said) < 1000
