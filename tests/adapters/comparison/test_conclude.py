"""From answers to a verdict and metrics."""

from pathlib import Path

from lorarack.adapters.comparison.compare import conclude
from lorarack.adapters.comparison.plan import plan_comparison
from lorarack.adapters.comparison.words import sentence
from lorarack.adapters.data import Row, Rows
from lorarack.adapters.evaluation.answers import Answer, Answers, Evaluation
from lorarack.registry import Dataset, open_registry

ROWS = Rows("held.jsonl", tuple(Row(f"yes {n}", prompt=str(n), line=n + 1) for n in range(200)))
DATA = Dataset(split="test", name="held.jsonl", rows=200, digest=ROWS.digest)


def answers(subject: object, *scores: float, cut_off: int = 0) -> Answers:
    made = (Answer(text=f"no {n}", score=score, tokens=3, cut_off=n < cut_off) for n, score in enumerate(scores))
    return Answers(subject=subject, answers=tuple(made))


def test_losses_are_kept_and_judged_as_losses(home: Path) -> None:
    with open_registry(home) as registry:
        plan = plan_comparison(registry, ["orders@1", "orders@2"], ROWS, score="nll")
        one, two = plan.subjects
        results = (answers(one, *[2.001] * 100, *[1.0] * 100), answers(two, *[2.0] * 100, *[1.0] * 100))
        evaluation = Evaluation(
            score="nll", binary=False, higher_is_better=False, dataset=DATA, max_tokens=9, results=results
        )
        found = conclude(registry, plan, evaluation)
        metric = registry.resolve("orders@1").metric("nll", "test")
    assert metric is not None
    assert metric.higher_is_better is False
    assert (found.verdict.margin, found.verdict.best, found.verdict.recommended) == (0.01, "orders@2", "orders@1")
    assert "not worse than orders@2 by 1 % of the loss (-0.0 %" in sentence(found.verdict)


def test_the_rows_that_differ_are_told_with_their_answers(home: Path) -> None:
    with open_registry(home) as registry:
        plan = plan_comparison(registry, ["orders@1", "orders@2"], ROWS, include_base=True, base_stride=4)
        one, two, base = plan.subjects
        results = (
            answers(one, *[1.0] * 199, 0.0, cut_off=2), answers(two, *[1.0] * 200), answers(base, *[1.0] * 50),
        )  # fmt: skip
        evaluation = Evaluation(score="exact_match", binary=True, dataset=DATA, max_tokens=9, results=results)
        found = conclude(registry, plan, evaluation)
    (row,) = found.disagreeing
    assert (row.name, row.expected, row.answers["orders@1"]) == ("held.jsonl, line 200", "yes 199", "no 199")
    assert found.base is not None
    assert (found.base.rows, found.base.score) == (50, 1)
    assert "orders@1 beats the bare base (+0.0 points, 95 % bounds" in " ".join(found.verdict.warnings)
    assert "Answers were cut off by the limit of tokens: 2 of orders@1" in " ".join(found.verdict.warnings)
    assert found.verdict.recommended == "orders@1"
    assert found.verdict.versions[0].cut_off == 2
