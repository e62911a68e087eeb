"""A disk without space, or one that may not be written: one sentence, nothing acknowledged is lost, and later it works again."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.tiny import tiny_adapter

from lorarack.registry import open_registry
from lorarack.registry.errors import StoreError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MiB; only where this user may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a disk; the test with a limit on file sizes stands in")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def fill(disk: Path, leave: int) -> Path:
    """A file that leaves so many bytes free."""
    ballast = disk / "ballast"
    ballast.unlink(missing_ok=True)
    found = os.statvfs(disk)
    ballast.write_bytes(b"\0" * max(0, found.f_bavail * found.f_bsize - leave))
    return ballast


@pytest.mark.system
def test_publishing_to_a_full_disk_fails_in_one_sentence_and_loses_nothing(
    home: Path, small_disk: Path, tmp_path: Path
) -> None:
    """Page by page more space: it runs out in the first file, in the second, in the database, and at last suffices."""
    place = small_disk / "home"
    shutil.copytree(home, place)
    done, said = [], []
    for pages in range(80):
        folder = tiny_adapter(tmp_path / f"{pages}", rank=16, seed=pages, targets=("q_proj", "v_proj", "down_proj"))
        ballast = fill(small_disk, 4096 * pages)
        try:
            with open_registry(place) as registry:
                done.append(registry.publish(folder, "support", base="tiny").version.reference)
        except StoreError as error:
            said.append(error.message)
        finally:
            ballast.unlink()
        with open_registry(place) as registry:
            there = [v.reference for adapter in registry.adapters() for v in registry.versions(adapter.name)]
            assert there == done
            for reference in there:
                registry.verify(reference)
    assert done, "or there was never enough"
    assert len(said) >= 10
    assert {sentence.count("\n") for sentence in said} == {0}
    assert all("no space left" in sentence or "is full or failing" in sentence for sentence in said), said
    with open_registry(place) as registry:
        registry.gc(grace_seconds=0)
        assert not [*(place / "blobs").rglob(".new-*")]
        registry.publish(tiny_adapter(tmp_path / "after", seed=99), "support", base="tiny")


PROGRAM = """
import json, resource, sys
from pathlib import Path
from lorarack.registry import open_registry
from lorarack.registry.errors import StoreError
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
try:
    with open_registry(sys.argv[1]) as registry:
        print(json.dumps(registry.publish(Path(sys.argv[2]), "support", base="tiny").version.reference))
except StoreError as error:
    print(json.dumps([error.message]))
"""


@pytest.mark.parametrize("limit", [0, 1000, 4096, 20_000])
def test_a_file_that_may_not_grow_is_one_sentence(limit: int, home: Path, tmp_path: Path) -> None:
    """A limit on file sizes, as batch systems set it: on the files, and on the database's log."""
    before = open_registry(home)
    kept = before.publish(tiny_adapter(tmp_path / "kept", seed=1), "support", base="tiny").version
    before.close()
    folder = tiny_adapter(tmp_path / "new", rank=4, seed=2)
    command = [sys.executable, "-c", PROGRAM, str(home), str(folder), str(limit)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    (said,) = json.loads(done.stdout)
    assert "\n" not in said
    assert any(words in said for words in ("File too large", "is full or failing", "no space left")), said
    with open_registry(home) as registry:
        assert registry.versions("support") == (registry.resolve(kept.reference),)
        registry.verify(kept.reference)
        assert not [*(home / "blobs").rglob(".new-*")]
        assert registry.publish(folder, "support", base="tiny").version.number == 2


@pytest.fixture
def read_only(home: Path, tmp_path: Path) -> Iterator[Path]:
    """A home on a disk that may only be read."""
    mount = ["mount", "--bind", str(home), str(home)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a disk")
    subprocess.run(["mount", "-o", "remount,ro,bind", str(home)], check=True)
    yield home
    subprocess.run(["umount", str(home)], check=True)


def test_a_read_only_disk_is_one_sentence(read_only: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot be written or opened|is read-only") as raised:
        open_registry(read_only).publish(tiny_adapter(tmp_path / "new"), "support", base="tiny")
    assert "\n" not in raised.value.message
    with pytest.raises(StoreError, match=r"is read-only|cannot be written"):
        open_registry(read_only / "new")


STRANGER = """
import json, os, sys, tempfile
from lorarack.registry import open_registry
from lorarack.registry.errors import NotFound, StoreError
with tempfile.TemporaryDirectory() as place, open_registry(place) as registry:  # imports all while it can still be read
    try:
        registry.set_retention("support", keep_last=1)
    except NotFound:
        pass
if os.geteuid() == 0:
    os.seteuid(65534)
said = []
for place in sys.argv[1:]:
    try:
        with open_registry(place) as registry:
            registry.set_retention("support", keep_last=1)
    except StoreError as error:
        said.append(error.message)
print(json.dumps(said))
"""


def test_a_home_without_permission_is_one_sentence(home: Path, tmp_path: Path) -> None:
    """For one that may be looked at and not changed, and for one that may not be made."""
    with open_registry(home) as registry:
        registry.publish(tiny_adapter(tmp_path / "kept", seed=1), "support", base="tiny")
    places = [*home.rglob("*"), home, tmp_path]
    for path in places:
        path.chmod(0o555 if path.is_dir() else 0o444)
    opened = [folder for folder in tmp_path.parents if os.geteuid() == 0 and not folder.stat().st_mode & 0o005]
    for folder in opened:
        folder.chmod(folder.stat().st_mode | 0o005)
    try:
        command = [sys.executable, "-c", STRANGER, str(home), str(tmp_path / "new")]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    finally:
        for path in reversed(places):
            path.chmod(0o755 if path.is_dir() else 0o644)
        for folder in opened:
            folder.chmod(folder.stat().st_mode & ~0o005)
    assert (done.returncode, done.stderr) == (0, "")
    changed, made = json.loads(done.stdout)
    assert "change its permissions or give another" in changed
    assert "change its permissions or give another" in made
    with open_registry(home) as registry:
        assert registry.retention("support").keep_last is None
