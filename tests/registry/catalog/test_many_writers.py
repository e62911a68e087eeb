"""Several processes write one registry at the same time: nothing is lost, nothing is given out twice."""

import json
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from tests.tiny import tiny_adapter

from lorarack.registry import Registry, open_registry

WRITERS, EACH = 3, 8

PROGRAM = """
import json, sys
from pathlib import Path
from lorarack.registry import Metric, open_registry
from lorarack.registry.errors import Conflict
from tests.tiny import tiny_adapter

home, scratch, writer, each = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
own, shared, moves = [], [], 0
folders = [tiny_adapter(scratch / f"{writer}-{turn}", seed=100 * writer + turn) for turn in range(each)]
sys.stdin.readline()  # all start together
with open_registry(home) as registry:
    for turn, folder in enumerate(folders):
        done = registry.publish(folder, "support", base="tiny")
        own.append([done.version.number, done.version.engine_id, done.created])
        loss = Metric(name=f"m{writer}", split="test", value=turn)
        done = registry.publish(scratch / f"shared-{turn}", "shared", base="tiny", metrics=[loss], tags={f"by{writer}": "x"})
        shared.append([done.version.number, done.created])
        there = next(alias.version for alias in registry.aliases("support") if alias.name == "default")
        if there != own[-1][0]:
            try:
                registry.set_alias("support", "default", own[-1][0], expect=there)
                moves += 1
            except Conflict:
                pass
print(json.dumps({"own": own, "shared": shared, "moves": moves}))
"""


def run_writers(home: Path, scratch: Path) -> list[dict[str, Any]]:
    command = [sys.executable, "-c", PROGRAM, str(home), str(scratch)]
    processes = [
        subprocess.Popen(
            [*command, str(writer), str(EACH)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            cwd=Path(__file__).parents[3],
        )
        for writer in range(WRITERS)
    ]  # fmt: skip
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0] * WRITERS, [said for _, said in answers]
    return [json.loads(out) for out, _ in answers]


def test_many_processes_publish_and_move_aliases_at_once(home: Path, tmp_path: Path) -> None:
    """Numbers and engine ids are distinct; one content is one version; every move that succeeded is in the history."""
    for turn in range(EACH):
        tiny_adapter(tmp_path / f"shared-{turn}", seed=5000 + turn)
    answers = run_writers(home, tmp_path)
    with open_registry(home) as registry:
        versions = registry.versions("support")
        own = [entry for answer in answers for entry in answer["own"]]
        assert sorted(number for number, _, _ in own) == list(range(1, WRITERS * EACH + 1))
        assert all(created for _, _, created in own)
        assert {version.number: version.engine_id for version in versions} == {
            number: engine for number, engine, _ in own
        }

        together = registry.versions("shared")
        assert len(together) == EACH
        assert sum(created for answer in answers for _, created in answer["shared"]) == EACH
        for turn in range(EACH):
            numbers = {answer["shared"][turn][0] for answer in answers}
            (version,) = [version for version in together if version.number in numbers]
            assert {(m.name, m.value) for m in version.metrics} == {(f"m{writer}", turn) for writer in range(WRITERS)}
            assert set(version.tags) == {f"by{writer}" for writer in range(WRITERS)}

        engine_ids = [version.engine_id for version in (*versions, *together)]
        assert len(set(engine_ids)) == len(engine_ids)

        history = registry.alias_history("support", "default")
        assert len(history) == 1 + sum(answer["moves"] for answer in answers)
        assert [move.previous for move in history] == [None, *(move.version for move in history[:-1])]
        events = registry.events(limit=10_000)
        kinds = [event.kind for event in events if event.adapter == "support"]
        assert kinds.count("published") == WRITERS * EACH
        assert kinds.count("alias_moved") == len(history)
        assert registry.last_event_id() == events[-1].cursor == len(events)


def test_readers_wait_for_no_writer_and_waiting_costs_nothing(registry: Registry, tmp_path: Path) -> None:
    """Twenty threads wait to write one registry; that is more than there are pooled connections."""
    registry.publish(tiny_adapter(tmp_path / "a", seed=1), "support", base="tiny")
    other = sqlite3.connect(Path(registry.location) / "catalog.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    moves = [threading.Thread(target=registry.set_alias, args=("support", f"a{number}", 1)) for number in range(20)]
    for move in moves:
        move.start()
    time.sleep(0.3)  # all of them wait by now
    used, began = time.process_time(), time.monotonic()
    while time.monotonic() - began < 1:
        assert registry.resolve("support@1").number == 1
        time.sleep(0.1)
    assert time.monotonic() - began < 20, "a reader waited"
    assert time.process_time() - used < 0.5, "those who wait use the processor"
    other.execute("ROLLBACK")
    for move in moves:
        move.join(timeout=60)
    assert len(registry.aliases("support")) == 21
    other.close()
