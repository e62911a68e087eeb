"""Studies on a tiny model: every strategy ends with a recommended, published rank, and goes on where it was stopped."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.adapters.training.test_fit import same, words
from tests.json_schemas import hold

from lorarack.adapters.recipe import Recipe
from lorarack.adapters.studies.report import StudyReport
from lorarack.adapters.training.progress import Silent
from lorarack.registry import Registry
from lorarack.registry.errors import Conflict, UsageError

pytestmark = pytest.mark.torch

Make = Callable[..., Recipe]


class Heard(Silent):
    """Remembers what was trained."""

    def __init__(self) -> None:
        self.runs: list[str] = []

    def begin(self, title: str, steps: int) -> None:
        self.runs.append(title)


def check(report: StudyReport, registry: Registry) -> None:
    """What holds for all strategies."""
    hold("study", report.to_json())
    chosen = registry.resolve(report.recommended.reference)
    assert chosen.rank == report.recommended.rank
    for line in report.ranks:
        assert line.gap == pytest.approx(line.eval_loss - line.train_loss)
        if line.reference:
            version = registry.resolve(line.reference)
            loss = version.metric("loss", "validation")
            assert version.rank == line.rank
            assert loss is not None
            assert loss.value == line.eval_loss
            assert version.tags["study"] == report.study
    assert {path.name for path in report.folder.glob("[a-z]*.*")} >= {"losses.png", "report.html", "report.json"}
    assert (report.folder / "losses.png").read_bytes().startswith(b"\x89PNG")


def test_the_ladder(registry: Registry, recipe: Make, tmp_path: Path) -> None:
    """One whole run; every lower rank measured; what is published comes from the top, and loads as what was measured."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from lorarack.adapters.data import load_rows
    from lorarack.adapters.studies.run import study
    from lorarack.adapters.training.encode import encode_rows
    from lorarack.adapters.training.loss import mean_loss

    heard = Heard()
    made = recipe()
    report = study(made, registry, heard, folder=tmp_path / "studies")
    check(report, registry)
    assert [line.rank for line in report.ranks] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert {line.rank for line in report.ranks if line.reference} <= {1, 2, 4, 8}
    assert len(report.versions) > 1
    top = report.ranks[-1]
    for line in report.ranks[:-1]:
        version = report.version(line.reference)
        if version is not None:
            assert [parent.version for parent in version.parents] == [top.reference]
            folder = registry.fetch(version, tmp_path / f"fetched{version.number}")
            source = registry.base("tiny").source
            model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32), folder)
            rows = encode_rows(load_rows(made.data.validation or ""), AutoTokenizer.from_pretrained(source), 64)
            assert mean_loss(model, rows, 0, 4) == pytest.approx(line.eval_loss, rel=1e-4)
    again = Heard()
    assert study(made, registry, again, folder=tmp_path / "studies").to_json() == report.to_json()
    assert again.runs == []


def test_a_rank_that_lost_is_trained_further(registry: Registry, recipe: Make, tmp_path: Path) -> None:
    """From the knee down training goes on from the truncation, which stays where it brings nothing."""
    from lorarack.adapters.studies.records import StudyFolder
    from lorarack.adapters.studies.run import study

    heard = Heard()
    rows = {
        "train": words(tmp_path / "many.jsonl", 64, 1, same),
        "validation": words(tmp_path / "others.jsonl", 32, 2, same),
    }
    settings = recipe(learning_rate=0.02, max_steps=30, data=rows)
    report = study(settings, registry, heard, ranks=(1, 2, 3, 4), folder=tmp_path / "studies")
    check(report, registry)
    kept = StudyFolder(report.folder)
    lines = {line.rank: line for line in report.ranks}
    for rank in (3, 2, 1):
        looked, run = kept.find(f"looked-r{rank}"), kept.find(f"recovered-r{rank}")
        assert looked is not None
        if run is not None:
            assert looked.eval_loss > 1.01 * lines[4].eval_loss
            assert run.rate == pytest.approx(0.3 * 0.02)  # the whole rate undoes what a truncation has kept
            change = looked.losses.rows.change_since(run.losses.rows)
            better = change.mean > change.error  # less is noise of the rows, for which steps are no price
            assert lines[rank].eval_loss == (run if better else looked).eval_loss
            version = report.version(lines[rank].reference)
            assert version is not None
            how = "recovered" if better else "resized"
            assert [parent.relation for parent in version.parents] == [how]
    assert len(heard.runs) > 1, [(line.rank, line.source, line.eval_loss) for line in report.ranks]


def test_ranks_that_are_no_candidates_are_measured_on_fewer_rows(
    registry: Registry, recipe: Make, tmp_path: Path
) -> None:
    """But for rank 1: the ones above it are told by those beside them."""
    from lorarack.adapters.studies.records import StudyFolder
    from lorarack.adapters.studies.run import study

    rows = {
        "train": words(tmp_path / "many.jsonl", 64, 1, same),
        "validation": words(tmp_path / "others.jsonl", 40, 2, same),
    }
    report = study(recipe(max_steps=4, data=rows), registry, ranks=(3, 5), folder=tmp_path / "studies")
    found = {rank: StudyFolder(report.folder).find(f"looked-r{rank}") for rank in (1, 2, 3, 4)}
    assert {rank: len(record.losses.sums) for rank, record in found.items() if record} == {1: 40, 2: 14, 3: 40, 4: 14}


def test_ascending(registry: Registry, recipe: Make, tmp_path: Path) -> None:
    """Each rank begins where the last one ended; a cold run checks a warm one that is recommended."""
    from lorarack.adapters.studies.run import study

    heard = Heard()
    report = study(recipe(ranks=[1, 2, 4]), registry, heard, strategy="ascend", folder=tmp_path / "studies")
    check(report, registry)
    assert heard.runs[:2] == ["letters rank 1", "letters rank 2"]
    assert report.ranks[0].source == "trained"
    warm = [line for line in report.ranks if line.source == "warm"]
    assert warm
    for line in warm:
        version = report.version(line.reference)
        if version is None:  # no better than the rank that it began with
            assert line.eval_loss in [other.eval_loss for other in report.ranks if other.rank < line.rank]
            continue
        assert [parent.relation for parent in version.parents] == ["continued"]
    if report.recommended.rank > 1:
        assert any(line.rank == report.recommended.rank and line.source == "trained" for line in report.ranks)


def test_a_grid(registry: Registry, recipe: Make, tmp_path: Path) -> None:
    """Each rank is held by its best rate; a hopeless rate is given up."""
    from lorarack.adapters.studies.records import StudyFolder
    from lorarack.adapters.studies.run import study

    rates = (0.03, 0.01, 1e-6)
    report = study(
        recipe(ranks=[2, 4], patience=None), registry, strategy="grid", rates=rates, folder=tmp_path / "studies"
    )
    check(report, registry)
    assert [line.rank for line in report.ranks] == [2, 4]
    hopeless = StudyFolder(report.folder).find("trained-r4-1.000e-06")
    assert hopeless is not None
    assert hopeless.given_up
    best = [registry.resolve(line.reference or "").provenance for line in report.ranks]
    assert all(origin is not None and origin.recipe["learning_rate"] in rates[:2] for origin in best)


RUN = """
import sys
from pathlib import Path
from lorarack.adapters.recipe import parse_recipe
from lorarack.adapters.studies.run import study
from lorarack.registry import open_registry
with open_registry(sys.argv[1]) as registry:
    study(parse_recipe(sys.stdin.read()), registry, strategy="grid", rates=(0.02, 0.01), folder=Path(sys.argv[2]))
"""


def test_a_killed_study_goes_on(registry: Registry, recipe: Make, tmp_path: Path) -> None:
    """SIGKILL between two runs: what was finished is not trained again, and what was not is."""
    from lorarack.adapters.studies.run import study

    made, studies = recipe(ranks=[1, 2], max_steps=60), tmp_path / "studies"
    started = subprocess.Popen(
        [sys.executable, "-c", RUN, str(registry.location), str(studies)], stdin=subprocess.PIPE, text=True
    )
    assert started.stdin is not None
    started.stdin.write(made.to_yaml())
    started.stdin.close()
    until = time.monotonic() + 120
    while not (finished := list(studies.glob("*/trained-*/run.json"))) and time.monotonic() < until:
        time.sleep(0.02)
    os.kill(started.pid, signal.SIGKILL)
    started.wait()
    heard = Heard()
    report = study(made, registry, heard, strategy="grid", rates=(0.02, 0.01), folder=studies)
    check(report, registry)
    assert finished
    assert 0 < len(heard.runs) < 4


def test_two_processes_do_not_work_on_one_study(registry: Registry, recipe: Make, tmp_path: Path) -> None:
    """The second one is told so, touches nothing, and works once the first one is gone."""
    from lorarack.adapters.studies.run import study

    made, studies = recipe(ranks=[1, 2], max_steps=2), tmp_path / "studies"
    folder = study(made, registry, strategy="grid", rates=(0.02,), folder=studies).folder
    before = sorted(folder.rglob("*"))
    held = "import fcntl, sys; lock = open(sys.argv[1]); fcntl.flock(lock, fcntl.LOCK_EX); print('held', flush=True); input()"
    other = subprocess.Popen(
        [sys.executable, "-c", held, str(folder / "lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdout is not None
    assert other.stdout.readline() == b"held\n"
    with pytest.raises(Conflict, match=r"Another process works on the study in '.*'; wait for it, or stop it"):
        study(made, registry, strategy="grid", rates=(0.02,), folder=studies)
    assert sorted(folder.rglob("*")) == before
    other.kill()
    other.communicate()
    study(made, registry, strategy="grid", rates=(0.02,), folder=studies)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"margin": 0.0}, "is no share of a loss"),
        ({"ranks": (0, 4)}, "A rank of 0 is none"),
        ({"rates": (0.1,)}, "is for --strategy grid"),
        ({"strategy": "grid", "rates": (2.0,)}, "A learning rate of 2 is none"),
        ({"ranks": (1,)}, "more than one rank"),
    ],
)
def test_mistakes_are_told_before_anything_is_trained(
    registry: Registry, recipe: Make, settings: dict[str, object], said: str
) -> None:
    from lorarack.adapters.studies.run import study

    with pytest.raises(UsageError, match=said):
        study(recipe(), registry, **settings)  # type: ignore[arg-type]
    assert registry.adapters() == ()
