"""A run that is taken up again ends with the very same weights."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.adapters.training.conftest import write_rows
from tests.command_line import lorarack
from tests.json_schemas import hold

from lorarack.adapters.recipe import Recipe
from lorarack.adapters.training.progress import Silent
from lorarack.adapters.training.run import train
from lorarack.adapters.training.run_folder import RunFolder
from lorarack.registry import Registry, open_registry
from lorarack.registry.errors import Conflict, NotFound, UsageError

pytestmark = pytest.mark.torch
Make = Callable[..., Recipe]


class StopsAt(Silent):
    """Ends the run after a step, as Ctrl-C does."""

    def __init__(self, step: int) -> None:
        self._at = step

    def step(self, step: int, loss: float | None, tokens: int) -> None:
        if step == self._at:
            raise KeyboardInterrupt


#: Twelve rows: an epoch has three steps of four rows, or two of eight.
SETTINGS = {"max_steps": 14, "eval_every": 2, "dropout": 0.2, "patience": None, "ranks": [2]}


@pytest.mark.parametrize(("accumulation", "stopped"), [(1, [[1], [4, 7], [14]]), (2, [[3], [5]])])
def test_stopped_at_any_step_the_weights_and_curves_are_the_same(
    tmp_path: Path, tiny_folder: Path, recipe: Make, accumulation: int, stopped: list[list[int]]
) -> None:
    """Bit for bit, with dropout: at the end of an epoch and in its middle, before the first checkpoint and after the last step."""
    plan = recipe(**SETTINGS, gradient_accumulation=accumulation)
    whole = _in_new_registry(tmp_path / "whole", tiny_folder, plan, [])
    for stops in stopped:
        again = _in_new_registry(tmp_path / f"at-{stops}", tiny_folder, plan, stops)
        assert again == whole, stops


def _in_new_registry(place: Path, base: Path, plan: Recipe, stops: list[int]) -> tuple[str, list[tuple[int, float]]]:
    with open_registry(place / "home") as registry:
        registry.add_base(str(base), "tiny")
        run = place / "run"
        for count, step in enumerate(stops):
            with pytest.raises(KeyboardInterrupt):
                train(plan, registry, StopsAt(step), run=run, resume=count > 0)
        (done,) = train(plan, registry, run=run, resume=bool(stops))
        (again,) = train(plan, registry, run=run, resume=True)
        assert (again.version.reference, again.created) == (done.version.reference, False)
        assert len(registry.versions(plan.name)) == 1
        curve = [
            (point.step or 0, point.value)
            for split in ("train", "validation")
            for point in done.version.curve("loss", split)
        ]
        return done.version.digest, curve


def test_a_killed_process_goes_on_from_the_command_line(
    tmp_path: Path, registry: Registry, recipe: Make, tiny_folder: Path
) -> None:
    """SIGKILL while a checkpoint is being written, then after one; what is half written is never taken up."""
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe(**SETTINGS).to_yaml())
    run = tmp_path / "run"
    for kill in ("partial", "step-6"):
        folder = ("--resume", run) if run.exists() else ("--run", run)
        script = KILLED.format(
            kill=kill, arguments=[*map(str, ("train", path, *folder, "--registry", registry.location))]
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        assert done.returncode == -signal.SIGKILL, done.stderr
    assert [entry.name for entry in (run / "rank-2").glob("*.partial")] == []
    assert registry.adapters() == ()
    answer = lorarack("train", "letters", "--resume", run, "--registry", registry.location, "--json")
    (made,) = answer.json()
    hold("train", answer.json())
    assert made["digest"] == _in_new_registry(tmp_path / "whole", tiny_folder, recipe(**SETTINGS), [])[0]
    steps = [json.loads(line)["step"] for line in (run / "curves.jsonl").read_text().splitlines()]
    assert steps == sorted(steps)
    assert sorted(entry.name for entry in run.iterdir()) == ["curves.jsonl", "lock", "recipe.yaml", "run.json"]
    (again,) = lorarack("train", "--resume", run, "--registry", registry.location, "--json").json()
    assert (again["reference"], again["created"]) == ("letters@1", False)


#: Kills itself where a folder of this name comes to be: in the middle of its writing, or right after it has its name.
KILLED = """
import os, pathlib, signal, sys
from lorarack.adapters.training import checkpoint, run_folder
from lorarack.registry.cli.main import main
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
rename = pathlib.Path.rename
def renamed(path, target):
    found = rename(path, target)
    if target.name == {kill!r}:
        die()
    return found
pathlib.Path.rename = renamed
if {kill!r} == "partial":
    save = checkpoint.save_file
    def saved(tensors, path):
        save(tensors, path)
        if "step-4" in str(path):
            die()
    checkpoint.save_file = saved
sys.argv = ["lorarack", *{arguments!r}]
main()
"""


def test_early_stopping_and_the_best_checkpoint_come_back(tmp_path: Path, tiny_folder: Path, recipe: Make) -> None:
    """A run whose validation loss only rises stops at the same step, and publishes the same early weights."""
    opposite = write_rows(tmp_path / "opposite.jsonl", "mnop", shift=-3)
    data = {"train": recipe().data.train, "validation": str(opposite)}
    changes = {"data": data, "learning_rate": 0.05, "schedule": "constant", "patience": 3, "max_steps": 60}
    plan = recipe(**{**SETTINGS, **changes})
    whole = _in_new_registry(tmp_path / "whole", tiny_folder, plan, [])
    last = whole[1][-1][0]
    assert last < 60
    assert _in_new_registry(tmp_path / "again", tiny_folder, plan, [last - 1]) == whole


def test_several_ranks_go_on_where_they_were(tmp_path: Path, registry: Registry, recipe: Make) -> None:
    """A published rank is not trained again, nor published again; nor is it where only the note of that was lost."""
    plan = recipe(max_steps=4, eval_every=2, ranks=[2, 4])
    run = tmp_path / "run"

    class StopsInTheSecond(Silent):
        def begin(self, title: str, steps: int) -> None:
            if title.endswith("rank 4"):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(plan, registry, StopsInTheSecond(), run=run)
    facts = json.loads((run / "run.json").read_text())
    assert facts["ranks"] == {"2": "letters@1"}
    (run / "run.json").write_text(json.dumps({**facts, "ranks": {}}))
    published = train(plan, registry, run=run, resume=True)
    assert [(done.version.rank, done.version.reference, done.created) for done in published] == [
        (2, "letters@1", False),
        (4, "letters@2", True),
    ]


def test_a_run_is_taken_up_as_it_began(tmp_path: Path, registry: Registry, recipe: Make) -> None:
    """Other rows, other settings, another process in it, a folder that holds something else or nothing: one sentence each."""
    plan = recipe(max_steps=2, eval_every=1)
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(plan, registry, StopsAt(2), run=run)
    with pytest.raises(Conflict, match="not empty; name another one, or go on with the run"):
        train(plan, registry, run=run)
    with pytest.raises(NotFound, match="There is no run in"):
        train(plan, registry, run=tmp_path / "nowhere", resume=True)
    with RunFolder.open(run).alone(), pytest.raises(Conflict, match="Another process works on the run"):
        train(plan, registry, run=run, resume=True)
    refused = lorarack("train", "--resume", run, "--learning-rate", 0.5, "--registry", registry.location)
    assert (refused.code, "in which 'learning_rate' is another" in refused.err) == (2, True)
    write_rows(Path(plan.data.train), "abcdef")
    with pytest.raises(UsageError, match=r"are not those that the run in .* began with"):
        train(plan, registry, run=run, resume=True)
    for spoiled in ("", "[]", '{"format": 99}'):
        (run / "run.json").write_text(spoiled)
        with pytest.raises(UsageError, match="begin a new one"):
            train(plan, registry, run=run, resume=True)


def test_a_checkpoint_holds_no_pickle(tmp_path: Path, registry: Registry, recipe: Make) -> None:
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(recipe(max_steps=4, eval_every=1), registry, StopsAt(3), run=run)
    files = {path.name for path in run.rglob("*") if path.is_file()}
    assert {name.rpartition(".")[2] for name in files} <= {"safetensors", "json", "jsonl", "yaml", "md", "lock"}
