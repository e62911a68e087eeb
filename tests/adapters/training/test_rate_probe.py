"""``learning_rate: auto``: short runs choose a rate, which is kept with the version and never chosen twice in one run."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.adapters.training.test_fit import same, words
from tests.adapters.training.test_resume import StopsAt

from lorarack.adapters.recipe import Recipe
from lorarack.adapters.training.learning_rate import probe_behind
from lorarack.adapters.training.progress import Silent
from lorarack.adapters.training.run import train
from lorarack.registry import Registry, open_registry

pytestmark = pytest.mark.torch
Make = Callable[..., Recipe]


@pytest.fixture
def auto(tmp_path: Path, recipe: Make) -> Make:
    """Recipes whose runs are long enough for short ones."""
    rows = {
        "train": words(tmp_path / "many.jsonl", 64, 1, same),
        "validation": words(tmp_path / "others.jsonl", 16, 2, same),
    }

    def make(**changes: object) -> Recipe:
        return recipe(**{"learning_rate": "auto", "data": rows, "max_steps": 160, "batch_size": 4, **changes})

    return make


@given(best=st.floats(-4, 4), bend=st.floats(0.01, 10))
def test_the_search_ends_beside_the_lowest_loss(best: float, bend: float) -> None:
    """On any parabola over the logarithm of the rate the lowest point is found, in four runs at most."""
    from lorarack.adapters.training.rate_probe import FACTOR, FIRST, RUNS, climb, lowest

    def loss(rate: float) -> float:
        return bend * (math.log(rate / FIRST) / math.log(FACTOR) - best) ** 2

    found = climb(loss)
    assert 3 <= len(found) <= RUNS
    if -1.49 < best < 2.49:
        assert math.log(lowest(found) / FIRST) / math.log(FACTOR) == pytest.approx(best, abs=1e-6)
    else:
        assert min(found) <= lowest(found) <= max(found)


def test_rates_that_diverge_are_left() -> None:
    from lorarack.adapters.training.rate_probe import FACTOR, FIRST, climb, lowest

    found = climb(lambda rate: math.inf if rate > FIRST else 1 / rate)
    assert lowest(found) == pytest.approx(FIRST / FACTOR**0.5)


@given(whole=st.integers(1, 100_000), rows=st.integers(1, 512), sample=st.integers(1, 24))
def test_short_runs_stay_within_their_share(whole: int, rows: int, sample: int) -> None:
    """All short runs, the base's measurement and theirs cost at most 15 % of the steps, a forward pass being a third of a step."""
    from lorarack.adapters.training.rate_probe import LEAST_STEPS, RUNS, SHARE, short_steps

    steps = short_steps(whole, rows, sample)
    if steps >= LEAST_STEPS:
        assert RUNS * steps + (RUNS + 1) * (sample + 1) / rows / 3 <= SHARE * whole + 1e-9


def test_the_rate_is_chosen_and_kept(registry: Registry, auto: Make) -> None:
    """Both ranks are trained at one rate; the version says which, of what and why; the same recipe finds it again."""
    published = train(auto(ranks=[1, 2]), registry)
    probes = [probe_behind(done.version) for done in published]
    assert probes[0] is not None
    assert probes[0] == probes[1]
    probe = probes[0]
    assert probe.rank == 2
    assert len(probe.trials) >= 3
    assert f"{probe.steps} steps" in probe.reason
    for done in published:
        assert done.version.provenance is not None
        assert done.version.provenance.recipe["learning_rate"] == probe.rate
    (again, more) = train(auto(ranks=[2, 4]), registry, reuse=True)
    assert (again.version.reference, again.created) == (published[1].version.reference, False)
    assert probe_behind(more.version) == probe


def test_a_chosen_rate_gives_what_the_same_rate_gives_when_it_is_written(
    tmp_path: Path, registry: Registry, tiny_folder: Path, auto: Make
) -> None:
    """Short runs leave no trace in the run itself."""
    (chosen,) = train(auto(ranks=[2]), registry)
    probe = probe_behind(chosen.version)
    assert probe is not None
    with open_registry(tmp_path / "other") as other:
        other.add_base(str(tiny_folder), "tiny")
        (written,) = train(auto(ranks=[2], learning_rate=probe.rate), other)
    assert written.version.digest == chosen.version.digest


def test_a_run_that_is_taken_up_keeps_its_rate(
    tmp_path: Path, registry: Registry, auto: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lorarack.adapters.training import train_ranks

    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(auto(ranks=[2]), registry, StopsAt(40), run=run)
    monkeypatch.delattr(train_ranks, "probe_rate")
    (done,) = train(auto(ranks=[2]), registry, run=run, resume=True)
    assert probe_behind(done.version) is not None


def test_a_run_that_is_too_short_says_that_nothing_was_tried(registry: Registry, recipe: Make) -> None:
    heard: list[str] = []

    class Notes(Silent):
        def note(self, text: str) -> None:
            heard.append(text)

    (done,) = train(recipe(learning_rate="auto"), registry, Notes())
    probe = probe_behind(done.version)
    assert probe is not None
    assert (probe.rate, probe.trials) == (0.001, ())
    assert any("too short" in text for text in heard)
