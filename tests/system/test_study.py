"""A study whose family a real server scores."""

import json
from pathlib import Path

import pytest
from tests.json_schemas import hold
from tests.system.server import KEY, Server
from tests.system.session_server import BASE

from lorarack.adapters import EvaluationServer, make_recipe, study

pytestmark = pytest.mark.system


def test_generation_and_likelihood_of_the_family_and_the_base(server: Server, tmp_path: Path) -> None:
    """Both scores are of the published versions, on the test rows; they are metrics of the versions, and stand in the report."""
    drinks = ("tea", "rum", "gin", "cola", "milk", "juice", "water")
    words = [f"{size} {drink}" for size in ("small", "large") for drink in drinks]
    parts = {"train": words[:6], "validation": words[6:10], "test": words[10:]}
    data = {}
    for name, found in parts.items():
        rows = [{"prompt": f"one {word} please", "completion": f" {word}"} for word in found]
        data[name] = str(tmp_path / f"{name}.jsonl")
        Path(data[name]).write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    recipe = make_recipe(
        {"name": "studied", "base": BASE, "data": data, "max_steps": 2, "batch_size": 6, "ranks": [1, 2]}
    )
    asked = EvaluationServer(server.url, KEY, max_tokens=4)
    report = study(recipe, server.registry, scores=("exact_match", "nll"), server=asked, folder=tmp_path / "studies")
    hold("study", report.to_json())
    assert [scored.score for scored in report.scores] == ["exact_match", "nll"]
    for scored in report.scores:
        assert {one.reference for one in scored.verdict.versions} == {version.reference for version in report.versions}
        assert scored.verdict.rows == len(parts["test"])
        assert scored.comparison.base is not None
        for one in scored.verdict.versions:
            assert one.metric is not None
            kept = server.registry.resolve(one.reference).metric(one.metric.name, one.metric.split)
            assert kept is not None
            assert kept.value == pytest.approx(one.score)
    assert "exact_match of 4 held-out rows" in (report.folder / "report.html").read_text(encoding="utf-8")
    assert (
        json.loads((report.folder / "report.json").read_text(encoding="utf-8"))["scores"] == report.to_json()["scores"]
    )
