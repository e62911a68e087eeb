"""The demo's verdict moves ``default`` once, with its reason, and not again."""

from io import StringIO
from pathlib import Path

from rich.console import Console
from tests.tiny import tiny_adapter, tiny_base

from lorarack.adapters.comparison.compare import conclude
from lorarack.adapters.comparison.plan import ComparisonPlan, plan_comparison
from lorarack.adapters.data import Row, Rows
from lorarack.adapters.evaluation.answers import Answer, Answers, Evaluation
from lorarack.demo.choose_default import choose_default
from lorarack.demo.console import StepConsole
from lorarack.registry import Dataset, open_registry


def test_default_moves_to_the_kept_version_with_the_reason_and_then_stays(tmp_path: Path) -> None:
    out = StringIO()
    stage = StepConsole(Console(file=out, width=200), 1)
    with open_registry(tmp_path / "home") as registry:
        registry.add_base(str(tiny_base(tmp_path / "tiny")), "tiny")
        for rank in (2, 4):
            registry.publish(tiny_adapter(tmp_path / str(rank), rank), "orders", base="tiny")
        plan = plan_comparison(registry, ["orders@1", "orders@2"], _rows())
        evaluation = _evaluated(plan, 10, 90)
        for _ in range(2):
            found = conclude(registry, plan, evaluation)
            choose_default(stage, registry, found)
            assert found.verdict.recommended == "orders@2"
        assert registry.resolve("orders").number == 2
        first, moved = registry.alias_history("orders", "default")
        assert (first.version, moved.version) == (1, 2)
        assert moved.reason is not None
        assert "orders@2 is recommended: orders@1 is worse by more than 5 points" in moved.reason
        assert len(registry.resolve("orders@2").metrics) == 1, "the same score again is no new metric"
    assert "moved to orders@2" in out.getvalue()
    assert "stays on orders@2" in out.getvalue()


def test_default_stays_where_the_rows_do_not_tell(tmp_path: Path) -> None:
    """7 of 96 more right are too few for a margin of five points; the alias does not move, and the rows needed are said."""
    out = StringIO()
    with open_registry(tmp_path / "home") as registry:
        registry.add_base(str(tiny_base(tmp_path / "tiny")), "tiny")
        for rank in (2, 4):
            registry.publish(tiny_adapter(tmp_path / str(rank), rank), "orders", base="tiny")
        plan = plan_comparison(registry, ["orders@1", "orders@2"], _rows())
        found = conclude(registry, plan, _evaluated(plan, 70, 77))
        choose_default(StepConsole(Console(file=out, width=200), 1), registry, found)
        assert (found.verdict.recommended, registry.resolve("orders").number) == (None, 1)
        assert len(registry.alias_history("orders", "default")) == 1
    assert "Not enough rows to tell: +7.3 points for orders@2 over orders@1" in out.getvalue()
    assert "stays on orders@1: nothing is decided" in out.getvalue()


def _rows() -> Rows:
    return Rows("rows", tuple(Row("{}", prompt=str(number)) for number in range(96)))


def _evaluated(plan: ComparisonPlan, first: int, second: int) -> Evaluation:
    right = {"orders@1": first, "orders@2": second}
    results = tuple(
        Answers(subject=one, answers=tuple(_answer(place < right[one.model]) for place in range(96)))
        for one in plan.subjects
    )
    data = Dataset(split="test", name="rows", rows=96, digest="sha256:" + "a" * 64)
    return Evaluation(score="json_exact", binary=True, dataset=data, max_tokens=9, results=results)


def _answer(right: bool) -> Answer:
    return Answer(text="", score=float(right), tokens=1, cut_off=False)
