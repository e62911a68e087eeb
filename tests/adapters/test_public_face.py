"""What the component offers is what it says, and nothing of it imports torch."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.adapters.openai_stand_in import Said, openai_server
from tests.tiny import tiny_adapter, tiny_base

import lorarack.adapters as face
from lorarack.registry import open_registry


def test_all_is_there_and_no_more() -> None:
    assert dir(face) == face.__all__ == sorted(face.__all__)
    for name in face.__all__:
        assert getattr(face, name).__name__ == name


def test_the_face_costs_no_torch() -> None:
    code = "import sys, lorarack.adapters as a; [getattr(a, n) for n in a.__all__]; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_comparison_from_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One call; the scores become metrics, and the answers are kept for the next one."""
    monkeypatch.setenv(
        "LORARACK_HOME", str(tmp_path / "usual")
    )  # scores that were made elsewhere look into the usual registry
    monkeypatch.delenv("LORARACK_REGISTRY", raising=False)
    with open_registry(tmp_path / "home") as registry, openai_server(lambda body: Said(body["prompt"])) as server:
        registry.add_base(str(tiny_base(tmp_path / "tiny")), "tiny")
        for rank in (2, 4):
            registry.publish(tiny_adapter(tmp_path / str(rank), rank), "orders", base="tiny")
        rows = face.Rows("rows", tuple(face.Row(str(number), prompt=str(number)) for number in range(8)))
        asked = face.EvaluationServer(server.url)
        folder = tmp_path / "evaluation"
        found = face.compare(registry, ["orders@r2", "orders@r4"], rows, server=asked, save=folder)
        assert (found.verdict.best, found.verdict.recommended) == ("orders@1", None), "eight rows are too few"
        assert registry.resolve("orders@2").metric("exact_match", "test") is not None
        elsewhere = face.compare_scores(folder / "scores.jsonl", margin=0.05)
        assert elsewhere.verdict.versions[0].score == 1
        again = face.evaluate(registry, ["orders@1"], rows, server=asked, save=folder, score="rouge_l")
        assert (again.of("orders@1").mean, len(server.asked)) == (1, 16), "the answers are there already"
