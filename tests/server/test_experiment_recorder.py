"""The recorder of experiments: what a killed server loses, and feedback on what another server has answered."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.tiny import tiny_adapter, tiny_base

from lorarack.registry import Registry, open_registry
from lorarack.registry.errors import NotFound
from lorarack.server.caller import Caller
from lorarack.server.exchange import Exchange
from lorarack.server.experiment_recorder import ExperimentRecorder
from lorarack.server.router import AssignedArm, Route

#: Records an answer every 10 ms, and says so after each.
SERVER = """
import asyncio, sys
from lorarack.registry import open_registry
from tests.server.test_experiment_recorder import answered, recorder

async def run():
    made = recorder(open_registry(sys.argv[1]))
    keeping = asyncio.create_task(made.keep())
    for number in range(10_000):
        answered(made, f"a{number}")
        print(number, flush=True)
        await asyncio.sleep(0.01)

asyncio.run(run())
"""


async def nothing() -> None:
    pass


def recorder(registry: Registry) -> ExperimentRecorder:
    return ExperimentRecorder(registry.experiments, nothing)


def answered(made: ExperimentRecorder, completion: str) -> None:
    route = Route("support@1", "support@1", "", arm=AssignedArm(1, "1", "user"))
    made.observer.end(Exchange(Caller("team"), "POST /x", route, status=200, seconds=0.1, completion=completion))


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with open_registry(tmp_path / "home") as opened:
        opened.add_base(str(tiny_base(tmp_path / "base")), "tiny")
        for seed in (1, 2):
            opened.publish(tiny_adapter(tmp_path / f"in{seed}", seed=seed), "support", base="tiny")
        experiments = opened.experiments
        experiments.start(experiments.plan("support", "default", [("1", 50), ("2", 50)]))
        yield opened


def recorded(registry: Registry) -> int:
    return registry.experiments.status("support", "default").tallies["1"].requests


def test_a_killed_server_loses_a_second_at_most(registry: Registry) -> None:
    command = [sys.executable, "-c", SERVER, registry.location]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        said: list[tuple[float, int]] = []
        for line in server.stdout:
            said.append((time.monotonic(), int(line)))
            if recorded(registry) and len(said) > 150:
                break
        server.send_signal(signal.SIGKILL)
        killed = time.monotonic()
    old_enough = sum(moment < killed - 1.5 for moment, _ in said)  # half a second for a busy machine
    assert old_enough <= recorded(registry)


async def test_feedback_on_another_servers_answer_waits_until_that_one_has_written_it(registry: Registry) -> None:
    one, other = recorder(registry), recorder(registry)
    answered(one, "a")
    keeping = asyncio.create_task(one.keep())
    given = await other.add_feedback("a", "team", "thumbs", 1)
    assert given.arm == "1"
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    with pytest.raises(NotFound):
        await other.add_feedback("b", "team", "thumbs", 1)
