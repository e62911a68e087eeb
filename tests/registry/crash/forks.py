"""Publishers that are killed, beside a ``gc`` in a hurry; run as ``python -m tests.registry.crash.forks``.

One process imports everything once and forks the victims, so a hundred kills take seconds. It prints, as JSON, how many it
killed, where, what the victims had acknowledged before, and every error that a victim met while it lived.
"""

import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from tests.registry.crash.steps import Steps
from tests.tiny import tiny_adapter

from lorarack.registry import Metric, open_registry

#: Much shorter than anybody should choose, so that the two meet.
GRACE = 0.03
LOSS = Metric(name="loss", split="validation", value=0.5)


class Field:
    """The registry, a folder for adapters, and the notes that victims leave."""

    def __init__(self, home: Path, scratch: Path) -> None:
        self.home = home
        self.scratch = scratch
        self.acknowledged = scratch / "acknowledged"
        self.errors = scratch / "errors"

    def publish(self, folder: Path, adapter: str, steps: Steps | None = None) -> None:
        """Publish and, when that is done, note it in one write that a kill cannot cut."""
        with open_registry(self.home) as registry:
            if steps:
                steps.arm()
            done = registry.publish(folder, adapter, base="tiny", metrics=[LOSS], tags={"by": "victim"})
            if steps:
                steps.disarm()
        note(self.acknowledged, done.version.reference, done.version.digest)

    def collect_for_ever(self) -> None:
        """Run ``gc`` again and again."""
        with open_registry(self.home) as registry:
            while True:
                registry.gc(grace_seconds=GRACE)
                time.sleep(0.01)

    def fork(self, work: Callable[[], None]) -> int:
        """A child that does ``work``, notes what goes wrong, and never returns here."""
        child = os.fork()
        if child:
            return child
        try:
            work()
        except BaseException:  # noqa: BLE001  (noted, and the test fails on it)
            note(self.errors, traceback.format_exc())
        finally:
            os._exit(0)


def note(path: Path, *words: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, (json.dumps(words) + "\n").encode())
    os.close(handle)


def notes(path: Path) -> list[list[str]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def end(child: int) -> bool:
    """Kill and bury a child; whether it was the kill that ended it."""
    os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def kill_at_random(field: Field, kills: int) -> dict[str, object]:
    """Victims publish until they are killed, anywhere within about two publishings; ``gc`` too is killed now and then."""
    started = time.perf_counter()
    for number in range(5):
        field.publish(tiny_adapter(field.scratch / f"first-{number}", seed=number), "support")
    usual = (time.perf_counter() - started) / 5
    killed = 0
    collector = field.fork(field.collect_for_ever)
    for turn in range(1, kills + 1):
        ready, tell = os.pipe()

        def publish_for_ever(turn: int = turn, tell: int = tell) -> None:
            with open_registry(field.home) as registry:
                registry.last_event_id()
                os.write(tell, b".")
                for number in range(100):
                    folder = tiny_adapter(field.scratch / f"{turn}-{number}", seed=1000 * turn + number)
                    field.publish(folder, "support")

        victim = field.fork(publish_for_ever)
        os.read(ready, 1)
        os.close(ready)
        os.close(tell)
        time.sleep(random.uniform(0, 2.5 * usual))
        killed += end(victim)
        if turn % 5 == 0:
            killed += end(collector)
            collector = field.fork(field.collect_for_ever)
    end(collector)
    return {"killed": killed}


def kill_at_each_step(field: Field) -> dict[str, object]:
    """For three kinds of publishing, a victim for each step of it. With a rest, lest ``gc`` be at it only between them."""
    killed: dict[str, list[str]] = {}
    collector = field.fork(field.collect_for_ever)
    for kind in ("first", "next", "again"):
        killed[kind] = []
        step = 0
        while _publish_until(field, kind, step):
            killed[kind].append(str(step))
            step += 1
    end(collector)
    return {"killed": sum(map(len, killed.values())), "each": {kind: len(steps) for kind, steps in killed.items()}}


def _publish_until(field: Field, kind: str, step: int) -> bool:
    """Whether a victim that kills itself at that step came so far."""
    folder = tiny_adapter(field.scratch / f"{kind}-{step}", seed=10**6 * len(kind) + step)
    adapter = f"first-{step}" if kind == "first" else "support"
    if kind == "again":
        field.publish(folder, adapter)
    steps = Steps(field.home, step)
    victim = field.fork(lambda: field.publish(folder, adapter, steps))
    return os.WIFSIGNALED(os.waitpid(victim, 0)[1])


def main() -> None:
    home, scratch, kind = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    field = Field(home, scratch)
    found = kill_at_each_step(field) if kind == "steps" else kill_at_random(field, int(kind))
    print(json.dumps({**found, "acknowledged": notes(field.acknowledged), "errors": notes(field.errors)}))


if __name__ == "__main__":
    main()
