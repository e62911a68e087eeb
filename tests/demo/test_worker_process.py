"""The process that trains: its results and errors come back, and it never stays behind."""

import os
import signal
from pathlib import Path

import pytest

from lorarack.adapters.recipe import make_recipe
from lorarack.demo.worker_process import worker_process
from lorarack.registry.errors import EngineError, InvalidArtifact, NotFound


def pid() -> int:
    return os.getpid()


def die(number: int) -> None:
    os.kill(os.getpid(), number)


def fail() -> None:
    raise InvalidArtifact(["one thing", "another"])


def surprise() -> None:
    raise RuntimeError("not foreseen")


def test_it_is_another_process_and_ends_with_the_block(tmp_path: Path) -> None:
    with worker_process(tmp_path) as made:
        first, second = made._made(pid), made._made(pid)
        assert first == second != os.getpid()
    assert not Path(f"/proc/{first}").exists()


def test_errors_that_lorarack_foresaw_come_through_whole(tmp_path: Path) -> None:
    with worker_process(tmp_path) as made:
        with pytest.raises(NotFound, match="no base model 'nobody'"):
            made.study(make_recipe({"name": "a", "base": "nobody", "data": str(tmp_path / "rows.jsonl")}))
        with pytest.raises(InvalidArtifact) as caught:
            made._made(fail)
        assert caught.value.problems == ("one thing", "another")
        assert "for 2 reasons" in caught.value.message
        assert made._made(pid), "an error is no end"


def test_a_process_that_was_killed_is_said_to_want_memory(tmp_path: Path) -> None:
    with worker_process(tmp_path) as made, pytest.raises(EngineError, match="memory ran out"):
        made._made(die, signal.SIGKILL)


def test_any_other_end_points_to_its_output(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with worker_process(tmp_path) as made, pytest.raises(EngineError, match=r"exit code 1.*its output is above"):
        made._made(surprise)
    assert "not foreseen" in capfd.readouterr().err


def test_it_ends_also_when_the_story_is_interrupted(tmp_path: Path) -> None:
    children = []

    def story() -> None:
        with worker_process(tmp_path) as made:
            children.append(made._made(pid))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        story()
    assert not Path(f"/proc/{children[0]}").exists()
