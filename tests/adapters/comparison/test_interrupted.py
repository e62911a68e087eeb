"""A comparison that is killed goes on where it was: nothing that was answered is asked again."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.adapters.comparison.test_command import ROWS, answer
from tests.adapters.comparison.test_command import data as data
from tests.adapters.openai_stand_in import Said, openai_server
from tests.command_line import lorarack

ONE_AFTER_THE_OTHER = ("--concurrency", "1")


@pytest.mark.parametrize("saved", [False, True])
def test_a_killed_comparison_continues(home: Path, data: Path, tmp_path: Path, *, saved: bool) -> None:
    """SIGKILL after thirty answers. With ``--save`` the folder stays when it is done, without it nothing is left."""
    keep = ("--save", str(tmp_path / "evaluation")) if saved else ()
    process: list[subprocess.Popen[bytes]] = []

    def killing(body: dict[str, Any]) -> Said:
        if len(server.asked) > 30:
            process[0].send_signal(signal.SIGKILL)
            process[0].wait()
        return answer(body)

    with openai_server(killing) as server:
        arguments = [
            "compare", "orders@1", "orders@2", "--data", str(data), "--url", server.url, "--registry", str(home),
            *ONE_AFTER_THE_OTHER, *keep,
        ]  # fmt: skip
        process.append(
            subprocess.Popen(
                [sys.executable, "-m", "lorarack.registry.cli.main", *arguments],
                env={**os.environ, "LORARACK_HOME": str(home)},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )
        assert process[0].wait(120) == -signal.SIGKILL
        before = len(server.asked)
        process[0] = subprocess.Popen(["true"])  # nothing more is killed
        found = lorarack(*arguments, "--json").json()
        assert found["recommended"] == "orders@2"
        assert len(server.asked) - before == 2 * ROWS - 30
    assert not list((home / "evaluations").glob("unfinished/*")), "what is finished needs no journal"
    assert (tmp_path / "evaluation" / "scores.jsonl").exists() == saved


def test_what_was_answered_before_a_failure_is_not_asked_again(home: Path, data: Path) -> None:
    def failing(body: dict[str, Any]) -> Said:
        return Said("no such thing", status=404) if len(server.asked) == 50 else answer(body)

    with openai_server(failing) as server:
        common = ("compare", "orders@1", "orders@2", "--data", data, "--url", server.url, "--registry", home)
        assert lorarack(*common, *ONE_AFTER_THE_OTHER).code == 1
        assert lorarack(*common).code == 0
        assert len(server.asked) == 2 * ROWS + 1
        assert lorarack(*common).code == 0
        assert len(server.asked) == 4 * ROWS + 1, "one that is finished is asked anew"
