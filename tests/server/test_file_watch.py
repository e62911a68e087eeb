"""A write to the registry by another process is heard of at once; other files are not."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lorarack.registry import open_registry
from lorarack.server.file_watch import AFTER, FileWatch

DATABASE = "catalog.sqlite"


@pytest.fixture
async def watch(tmp_path: Path) -> AsyncIterator[FileWatch]:
    made = FileWatch(tmp_path / DATABASE)
    for _ in AFTER:  # as after a write
        await made.wait(0)
    yield made
    made.close()


async def heard(watch: FileWatch, seconds: float = 5.0) -> bool:
    """Whether a wait ends before its time."""
    began = time.monotonic()
    await watch.wait(seconds)
    return time.monotonic() - began < seconds * 0.9


async def test_a_commit_of_another_process_ends_the_wait(tmp_path: Path, watch: FileWatch) -> None:
    open_registry(tmp_path).close()
    waiting = asyncio.create_task(heard(watch, 30.0))
    program = "import sys; from lorarack.registry import open_registry; open_registry(sys.argv[1]).keys.add('web')"
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", program, str(tmp_path)], check=True)
    assert await waiting


async def test_a_write_is_looked_for_several_times_and_then_no_more(tmp_path: Path, watch: FileWatch) -> None:
    """The first look may come before the transaction can be seen."""
    (tmp_path / f"{DATABASE}-wal").write_bytes(b"x")
    assert await heard(watch)
    for _ in AFTER:
        assert await heard(watch)
    assert not await heard(watch, 0.2)


async def test_other_files_do_not_end_it(tmp_path: Path, watch: FileWatch) -> None:
    (tmp_path / f"{DATABASE}-shm").write_bytes(b"x")
    (tmp_path / "blob").write_bytes(b"x")
    assert not await heard(watch, 0.2)


async def test_a_folder_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        FileWatch(tmp_path / "none" / DATABASE)
