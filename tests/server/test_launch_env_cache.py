"""What a start remembers of its environment: nothing that brings code into a process, and nothing that others may have written."""

import json
import os
import sys
from pathlib import Path

import pytest

from lorarack.server.process import launch_env_cache
from lorarack.server.process.launch_env_cache import LOOKED_UP, look_up

NEW = {"OMP_PLACES": "1"}
#: What scikit-learn sets, which transformers imports where it is installed.
SCIKIT_LEARN = {"KMP_DUPLICATE_LIB_OK": "True", "KMP_INIT_AT_FORK": "FALSE"}


def recall(memory: Path) -> dict[str, str] | None:
    return launch_env_cache.recall(memory, os.environ)


def remember(memory: Path, changed: dict[str, str]) -> None:
    launch_env_cache.remember(memory, changed, os.environ)


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    (tmp_path / "cache").mkdir(mode=0o700)
    return tmp_path / "cache" / "engine.json"


@pytest.mark.parametrize("name", [*LOOKED_UP, "PYTHONPATH", "PATH", "LORARACK_SERVING"])
def test_a_memory_with_variables_that_no_start_writes_is_ignored(
    name: str, memory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody else wrote it: nothing of it is used."""
    memory.write_text(json.dumps({"python": sys.prefix, "changed": {**NEW, name: "/elsewhere/evil.so"}}))
    memory.chmod(0o600)
    with caplog.at_level("WARNING"):
        assert recall(memory) is None
    assert "is ignored" in caplog.text


def test_what_libraries_set_for_their_threads_is_remembered(memory: Path) -> None:
    remember(memory, NEW | SCIKIT_LEARN)
    assert recall(memory) == NEW | SCIKIT_LEARN


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_memory_that_others_may_write_is_ignored(memory: Path, mode: int, caplog: pytest.LogCaptureFixture) -> None:
    remember(memory, NEW)
    assert recall(memory) == NEW
    memory.chmod(mode)
    with caplog.at_level("WARNING"):
        assert recall(memory) is None
    assert "others may have written it" in caplog.text


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_a_memory_of_another_user_is_ignored(memory: Path) -> None:
    remember(memory, NEW)
    os.chown(memory, 12345, -1)
    assert recall(memory) is None


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_only_a_plain_file_is_read(memory: Path, kind: str) -> None:
    """A pipe must not make the start wait."""
    if kind == "link":
        other = memory.with_name("other")
        remember(other, NEW)
        memory.symlink_to(other)
    elif kind == "pipe":
        os.mkfifo(memory)
    else:
        memory.mkdir()
    assert recall(memory) is None


def test_what_is_preloaded_is_looked_up_and_never_read(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As vLLM finds it, beside what the user preloads; not where others may have put it."""
    for name in ("LD_PRELOAD", "LD_LIBRARY_PATH"):  # vLLM sets them where another test has imported it
        monkeypatch.delenv(name, raising=False)
    expected = look_up(os.environ).get("LD_PRELOAD")
    if expected is None:
        pytest.skip("nothing to preload is installed here")
    remember(memory, {**NEW, "LD_PRELOAD": expected})
    assert expected not in memory.read_text()
    assert recall(memory) == {**NEW, "LD_PRELOAD": expected}
    remember(memory, {**NEW, "LD_PRELOAD": "/elsewhere/evil.so"})
    assert recall(memory) is None
    monkeypatch.setattr(launch_env_cache, "untrusted_reason", lambda _: "others may write there")
    assert look_up(os.environ) == {}


def test_a_value_that_is_no_text_is_not_remembered(memory: Path) -> None:
    remember(memory, {"OMP_PLACES": os.fsdecode(b"\xff")})
    assert not memory.exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"python": "/elsewhere", "changed": {}}', b'{"changed": {}}', b"\xff", b'{"python": 1}'],
)
def test_a_memory_that_makes_no_sense_or_is_of_another_python_is_none(memory: Path, content: bytes) -> None:
    memory.write_bytes(content)
    memory.chmod(0o600)
    assert recall(memory) is None


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path: Path, memory: Path) -> None:
    memory.parent.rmdir()
    memory.parent.write_text("a file")
    remember(memory, NEW)
    assert recall(memory) is None


def test_the_memory_is_the_users_alone(memory: Path) -> None:
    remember(memory, NEW)
    assert memory.stat().st_mode & 0o077 == 0
    assert [path.name for path in memory.parent.iterdir()] == ["engine.json"]
