"""The demo's verdict moves ``default`` once, with its reason, and not again."""

from io import StringIO
from pathlib import Path

from rich.console import Console
from tests.tiny import tiny_adapter, tiny_base

from lorarack.adapters.comparison.plan import plan_comparison
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
        rows = Rows("rows", tuple(Row("{}", prompt=str(number)) for number in range(96)))
        plan = plan_comparison(registry, ["orders@1", "orders@2"], rows)
        right = {"orders@1": 10, "orders@2": 90}
        results = tuple(
            Answers(subject=one, answers=tuple(_answer(place < right[one.model]) for place in range(96)))
            for one in plan.subjects
        )
        data = Dataset(split="test", name="rows", rows=96, digest="sha256:" + "a" * 64)
        evaluation = Evaluation(score="json_exact", binary=True, dataset=data, max_tokens=9, results=results)
        for _ in range(2):
            assert choose_default(stage, registry, plan, evaluation).verdict.keep == "orders@2"
        assert registry.resolve("orders").number == 2
        first, moved = registry.alias_history("orders", "default")
        assert (first.version, moved.version) == (1, 2)
        assert moved.reason is not None
        assert "80 more of 96 rows right" in moved.reason
        assert len(registry.resolve("orders@2").metrics) == 1, "the same score again is no new metric"
    assert "moved to orders@2" in out.getvalue()
    assert "stays on orders@2" in out.getvalue()


def _answer(right: bool) -> Answer:
    return Answer(text="", score=float(right), tokens=1, cut_off=False)
