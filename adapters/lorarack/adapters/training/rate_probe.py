"""Choosing the learning rate by short runs.

Each short run has the whole schedule in few steps, the same rows and the same start. Rates are a factor of √10 apart. From the
first one the runs go on in the direction in which the loss falls and stop where it rises, so three or four are enough. What is
chosen is the lowest point of the parabola through the three around the lowest loss, over the logarithm of the rate.
"""

import gc
import math
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lorarack.adapters.recipe import Recipe
from lorarack.adapters.training.learning_rate import RateProbe, RateTrial
from lorarack.adapters.training.loaded_base import LoadedBase
from lorarack.adapters.training.plan import make_plan
from lorarack.adapters.training.processes import process_count
from lorarack.adapters.training.progress import Silent, TrainingProgress
from lorarack.adapters.training.train_rank import trained
from lorarack.registry.errors import EngineError

#: The share of a whole run's steps that all short runs together may take, their measurements included.
SHARE = 0.15
#: At most so many short runs, of at least so many steps each; a shorter one says nothing.
RUNS, LEAST_STEPS = 4, 4
#: Validation rows that a short run is measured on.
SAMPLE = 24
#: Where the search starts, and by what factor it goes on.
FIRST, FACTOR = 1e-3, math.sqrt(10)
#: What is taken where a run is too short to try anything.
UNTRIED = 1e-3


def probe_rate(base: LoadedBase, recipe: Recipe, rank: int, progress: TrainingProgress) -> RateProbe:
    """The learning rate for ``recipe``, tried at ``rank``.

    Raises:
        EngineError: training failed for another reason than a rate that is too high.
    """
    started = time.monotonic()
    processes = process_count()
    whole = make_plan(recipe.model_copy(update={"learning_rate": UNTRIED}), len(base.tokens.train), processes).steps
    sample = base.sample(SAMPLE)
    steps = short_steps(
        whole, recipe.batch_size * recipe.gradient_accumulation * processes, len(sample.tokens.validation)
    )
    if steps < LEAST_STEPS:
        reason = (
            f"a run of {whole} steps is too short to try learning rates in {SHARE:.0%} of it; {UNTRIED:g} is taken, which was "
            "not tried"
        )
        return RateProbe(rate=UNTRIED, rank=rank, steps=0, trials=(), seconds=0.0, reason=reason)

    def loss(rate: float) -> float:
        short = recipe.model_copy(
            update={"learning_rate": rate, "max_steps": steps, "eval_every": steps, "report_to": (), "patience": None}
        )
        with tempfile.TemporaryDirectory(prefix="lorarack-rate-") as folder:
            try:
                with trained(sample, short, rank, Path(folder), Silent()) as (_, callback):
                    found = callback.best.validation.mean
            except EngineError as error:
                if error.code != "diverged":
                    raise
                found = math.inf
        progress.note(f"learning rate {rate:.2g}: loss {found:.4f} after {steps} steps")
        return found

    with _few_objects():
        found = climb(loss)
    if all(map(math.isinf, found.values())):
        raise EngineError(
            f"Training diverged at every learning rate from {min(found):.2g} to {max(found):.2g}; look at the rows, or lower "
            "max_grad_norm.",
            code="diverged",
        )
    rate = float(f"{lowest(found):.2g}")
    edge = min(found, key=found.__getitem__) in (min(found), max(found))
    tried = f"{len(found)} short runs of {steps} steps at rank {rank}, from {min(found):.2g} to {max(found):.2g}"
    reason = f"{tried}, have their lowest loss at about {rate:g}{', the last rate that was tried' if edge else ''}"
    trials = tuple(
        RateTrial(rate=tried, loss=value if math.isfinite(value) else None) for tried, value in found.items()
    )
    seconds = round(time.monotonic() - started, 1)
    return RateProbe(rate=rate, rank=rank, steps=steps, trials=trials, seconds=seconds, reason=reason)


def short_steps(whole: int, rows_in_step: int, sample: int) -> int:
    """How many steps a short run may have, so that all of them and what they are measured on cost no more than ``SHARE``.

    A forward pass alone costs a third of a training step over as many rows.
    """
    measured = (sample + 1) / rows_in_step / 3
    return math.floor((SHARE * whole - measured) / RUNS - measured)  # the base alone is measured too


@contextmanager
def _few_objects() -> Iterator[None]:
    """Keep the collections of garbage that each run begins with to what was made since.

    Over all the objects of torch and transformers one takes half a second, a third of a short run over a small base.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def climb(loss: Callable[[float], float], runs: int = RUNS) -> dict[float, float]:
    """The losses of ``FIRST`` and of rates above or below it, in the order in which they were tried.

    Args:
        loss: of a short run at a rate; infinite where it diverged.
        runs: the most that are tried.
    """
    found = {FIRST: loss(FIRST)}
    up = FIRST * FACTOR
    found[up] = loss(up)
    factor, last = (FACTOR, up) if found[up] < found[FIRST] else (1 / FACTOR, FIRST)
    while len(found) < runs and last * factor <= 1:
        following = last * factor
        found[following] = loss(following)
        if found[following] >= found[last]:
            break
        last = following
    return found


def lowest(found: dict[float, float]) -> float:
    """Where the parabola through the lowest loss and its two neighbours is lowest, over the logarithm of the rate."""
    rates = sorted(found)
    place = min(range(len(rates)), key=lambda place: found[rates[place]])
    around = [found[rate] for rate in rates[max(0, place - 1) : place + 2]]
    if len(around) < 3:
        return rates[place]
    below, here, above = around
    bend = below - 2 * here + above
    if math.isinf(bend):  # the limit of the parabola as that side rises
        shift = (below == math.inf) / 2 - (above == math.inf) / 2
    else:
        shift = 0.0 if bend <= 0 else (below - above) / (2 * bend)
    return float(rates[place] * FACTOR**shift)
