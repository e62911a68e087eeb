"""The verdict on a run: too short, about right, or learned by heart. No torch but in the last tests."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from lorarack.adapters.recipe import Recipe
from lorarack.adapters.training.fit import Fit, Validation, judge
from lorarack.adapters.training.row_losses import RowLosses
from lorarack.registry import Registry

Make = Callable[..., Recipe]
ROWS = 40


def losses(mean: float, noise: float = 0.01, seed: int = 0) -> RowLosses:
    """Rows of different lengths and difficulty, whose loss is about ``mean``."""
    draw = random.Random(seed)
    tokens = [draw.randint(3, 30) for _ in range(ROWS)]
    hard = [draw.uniform(0.5, 1.5) for _ in range(ROWS)]
    own = random.Random(f"{seed} {mean}")
    return RowLosses(
        tuple(count * mean * (part + own.gauss(0, noise)) for count, part in zip(tokens, hard, strict=True)),
        tuple(tokens),
    )


def run(validation: list[float], train: list[float], noise: float = 0.01) -> Fit:
    """A run of 100 steps at a constant rate, measured at equal distances."""
    every = 100 // (len(validation) - 1)
    points = [
        Validation(place * every, losses(seen, noise, 1), losses(new, noise, 2))
        for place, (new, seen) in enumerate(zip(validation, train, strict=True))
    ]
    return judge(points, lambda step: step / 100)


@pytest.mark.parametrize(
    ("validation", "train", "verdict"),
    [
        ([3.0, 1.5, 1.1, 1.0, 0.98, 0.975], [3.0, 1.4, 1.0, 0.9, 0.87, 0.86], "good"),
        ([3.0, 1.5, 1.0, 1.02, 1.3, 1.6], [3.0, 1.4, 0.8, 0.4, 0.2, 0.1], "overfit"),
        ([3.0, 2.7, 2.4, 2.1, 1.8, 1.5], [3.0, 2.7, 2.4, 2.1, 1.8, 1.5], "underfit"),
        ([3.0, 2.99, 3.0, 2.99, 3.0, 2.99], [3.0, 2.99, 3.0, 2.99, 3.0, 2.99], "underfit"),  # nothing was learned
        ([3.0, 3.01, 2.99, 3.0, 2.99, 3.0], [3.0, 2.0, 1.0, 0.5, 0.2, 0.1], "overfit"),  # nothing but its own rows
        ([3.0, 3.3, 3.6, 4.0, 4.4, 4.8], [3.0, 2.0, 1.0, 0.5, 0.2, 0.1], "overfit"),  # from the first step
        ([3.0, 1.5, 1.0, 1.2, 1.5, 1.9], [3.0, 1.4, 0.9, 1.1, 1.4, 1.7], "good"),  # a rate too high: not learned by heart
        ([3.0, 1.0, 0.8], [3.0, 1.0, 0.8], "good"),
        ([3.0, 1.0], [3.0, 1.0], "underfit"),  # one validation shows no levelling off
    ],
)  # fmt: skip
def test_the_verdict(validation: list[float], train: list[float], verdict: str) -> None:
    found = run(validation, train)
    assert found.verdict == verdict, found.reason


def test_a_rise_within_noise_is_no_verdict() -> None:
    """The same rise, on rows that agree and on rows that do not."""
    curve, seen = [3.0, 1.5, 1.0, 1.0, 1.02, 1.03], [3.0, 1.4, 0.9, 0.8, 0.75, 0.7]
    assert run(curve, seen, noise=0.001).verdict == "overfit"
    assert run(curve, seen, noise=0.3).verdict == "good"


def test_what_is_reported_is_of_the_best_step() -> None:
    found = run([3.0, 1.5, 1.0, 1.02, 1.3, 1.6], [3.0, 1.4, 0.8, 0.4, 0.2, 0.1])
    assert (found.best_step, found.reason.partition(":")[0]) == (40, "overfit from step 40")
    assert found.gap == pytest.approx(found.eval_loss - found.train_loss)
    assert 0 < found.gap_error < found.eval_loss
    assert found.base_loss > found.eval_loss


def test_the_error_of_a_loss_is_that_of_many_samples() -> None:
    """Against a thousand samples of rows; a change on the same rows has a far smaller one."""
    draw = random.Random(0)

    def sample() -> RowLosses:
        tokens = [draw.randint(1, 20) for _ in range(50)]
        return RowLosses(tuple(count * draw.gauss(2, 0.5) for count in tokens), tuple(tokens))

    means = [sample().mean for _ in range(1000)]
    spread = (sum((mean - 2) ** 2 for mean in means) / len(means)) ** 0.5
    one = sample()
    assert one.estimate.error == pytest.approx(spread, rel=0.25)
    higher = RowLosses(tuple(total * 1.1 for total in one.sums), one.tokens)
    change = higher.change_since(one)
    assert change.mean == pytest.approx(0.1 * one.mean)
    assert change.error < 0.2 * one.estimate.error
    assert RowLosses((2.0,), (4,)).estimate.error == 0


def words(path: Path, count: int, seed: int, answer: Callable[[str, random.Random], str]) -> str:
    draw = random.Random(seed)
    prompts = ["".join(draw.choices("abcdefghij", k=6)) for _ in range(count)]
    rows = [{"prompt": f"{prompt} {seed}:", "completion": answer(prompt, draw)} for prompt in prompts]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def few(_: str, draw: random.Random) -> str:
    return "".join(draw.choices("klmn", k=4))


def noise(_: str, draw: random.Random) -> str:
    return "".join(draw.choices("abcdefghijklmnopqrstuvwxyz0123456789.,;!?", k=4))


def same(_: str, __: random.Random) -> str:
    return "zyz"


@pytest.mark.torch
@pytest.mark.parametrize(
    ("verdict", "learned", "asked", "rows", "settings"),
    [
        ("overfit", few, noise, 4, {"ranks": [16], "max_steps": 40, "learning_rate": 0.02, "patience": None}),
        ("underfit", same, same, 64, {"ranks": [4], "max_steps": 6, "learning_rate": 0.003}),
        ("good", same, same, 64, {"ranks": [4], "max_steps": 120, "learning_rate": 0.03}),
    ],
)
def test_runs_that_are_made_to_fail_are_told_apart(
    registry: Registry,
    recipe: Make,
    tmp_path: Path,
    verdict: str,
    learned: Callable[..., str],
    asked: Callable[..., str],
    rows: int,
    settings: dict[str, object],
) -> None:
    """Four rows, which look more alike than all do, and a high rank; too few steps; enough of both."""
    from lorarack.adapters.training.run import train

    data = {
        "train": words(tmp_path / "train.jsonl", rows, 1, learned),
        "validation": words(tmp_path / "validation.jsonl", 32, 2, asked),
    }
    (done,) = train(recipe(data=data, **settings), registry)
    origin = done.version.provenance
    assert origin is not None
    fit = Fit.model_validate(origin.recipe["fit"])
    assert fit.verdict == verdict, fit.reason
