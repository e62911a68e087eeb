"""The demo's verdict moves ``default`` once, with its reason, and not again."""

from io import StringIO
from pathlib import Path

from rich.console import Console
from tests.tiny import tiny_adapter, tiny_base

from lorarack.adapters.comparison.compare import subjects
from lorarack.adapters.demo.deciding import decide_default
from lorarack.adapters.demo.stage import Stage
from lorarack.adapters.evaluation.answers import Answer, Answers, Evaluation
from lorarack.registry import Dataset, open_registry


def test_default_moves_to_the_kept_version_with_the_reason_and_then_stays(tmp_path: Path) -> None:
    out = StringIO()
    stage = Stage(Console(file=out, width=200), 1)
    with open_registry(tmp_path / "home") as registry:
        registry.add_base(str(tiny_base(tmp_path / "tiny")), "tiny")
        versions = tuple(
            registry.publish(tiny_adapter(tmp_path / str(rank), rank), "orders", base="tiny").version for rank in (2, 4)
        )
        right = {"orders@1": 10, "orders@2": 90}
        results = tuple(
            Answers(subject=one, answers=tuple(_answer(place < right[one.model]) for place in range(96)))
            for one in subjects(versions, None)
        )
        data = Dataset(split="test", name="rows", rows=96, digest="sha256:" + "a" * 64)
        evaluation = Evaluation(score="json_exact", binary=True, dataset=data, max_tokens=9, results=results)
        for _ in range(2):
            assert decide_default(stage, registry, evaluation, versions).verdict.keep == "orders@2"
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
