"""A run's folder that is damaged: one sentence says what to remove."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.adapters.training.test_resume import StopsAt

from lorarack.adapters.recipe import Recipe
from lorarack.adapters.training.run import train
from lorarack.registry import Registry
from lorarack.registry.errors import UsageError

pytestmark = pytest.mark.torch
Make = Callable[..., Recipe]

SPOILED: list[object] = [None, [], {}, 3]


@pytest.fixture
def plan(recipe: Make) -> Recipe:
    return recipe(max_steps=4, eval_every=1)


@pytest.fixture
def run(tmp_path: Path, plan: Recipe, registry: Registry) -> Path:
    """Stopped after its second step."""
    with pytest.raises(KeyboardInterrupt):
        train(plan, registry, StopsAt(3), run=tmp_path / "run")
    return tmp_path / "run"


def test_a_checkpoint_that_lacks_something(tmp_path: Path, plan: Recipe, run: Path, registry: Registry) -> None:
    """Each file missing, cut off, empty or another one: the rank's folder is named, and without it the rank begins anew."""
    whole = tmp_path / "whole"
    shutil.copytree(run, whole)
    kept = run / "rank-4" / "step-2"
    for name in sorted(path.name for path in kept.iterdir() if path.name != "README.md"):
        content = (kept / name).read_bytes()
        spoiled: list[bytes | None] = [None, b"", content[: len(content) // 2]]
        if name in ("training.json", "trainer_state.json"):
            spoiled += [b"{}", b"[]"]
        for bad in spoiled:
            shutil.rmtree(run)
            shutil.copytree(whole, run)
            (kept / name).unlink() if bad is None else (kept / name).write_bytes(bad)
            with pytest.raises(UsageError, match="is damaged; remove the folder") as caught:
                train(plan, registry, run=run, resume=True)
            assert repr(str(run / "rank-4")) in caught.value.message, (name, bad)
    shutil.rmtree(run / "rank-4")
    (done,) = train(plan, registry, run=run, resume=True)
    assert done.created


def test_values_of_a_checkpoint_that_are_others(plan: Recipe, run: Path, registry: Registry) -> None:
    """Any part of what lies between two steps may be missing or of another kind."""
    path = run / "rank-4" / "step-2" / "training.json"
    content = json.loads(path.read_text())
    for key in ("optimizer", "scheduler", "random", "more"):
        for bad in SPOILED:
            path.write_text(json.dumps({**content, key: bad}))
            with pytest.raises(UsageError, match="is damaged; remove the folder"):
                train(plan, registry, run=run, resume=True)


def test_a_folder_that_is_no_checkpoint(plan: Recipe, run: Path, registry: Registry) -> None:
    (run / "rank-4" / "step-old").mkdir()
    with pytest.raises(UsageError, match=r"step-old' is no checkpoint of this run; remove it"):
        train(plan, registry, run=run, resume=True)


def test_lines_of_the_curves_that_say_nothing(plan: Recipe, run: Path, registry: Registry) -> None:
    """They are taken out, as a line that was cut off is; the run goes on."""
    with (run / "curves.jsonl").open("ab") as file:
        file.write(b'{}\n[]\n3\n{"rank": "4", "step": null}\n\xff\n{"rank": 4, "st')
    train(plan, registry, run=run, resume=True)
    lines = [json.loads(line) for line in (run / "curves.jsonl").read_text().splitlines()]
    assert sorted({line["step"] for line in lines}) == [1, 2, 3, 4]


@pytest.mark.parametrize("change", [{"facts": []}, {"facts": None}, {"ranks": []}, {"id": 3}, {"ranks": None}])
def test_what_the_run_says_of_itself(plan: Recipe, run: Path, registry: Registry, change: dict[str, object]) -> None:
    path = run / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(UsageError, match=r"The run.json of the run in .* is damaged; begin a new one"):
        train(plan, registry, run=run, resume=True)


def test_software_that_is_no_list_of_versions(plan: Recipe, run: Path, registry: Registry) -> None:
    """What is not known is said to be another version; the run goes on."""
    path = run / "run.json"
    found = json.loads(path.read_text())
    path.write_text(json.dumps({**found, "facts": {**found["facts"], "software": [1]}}))
    assert train(plan, registry, run=run, resume=True)[0].created
