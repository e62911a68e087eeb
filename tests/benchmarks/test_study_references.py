"""BLEU and chrF over a whole set, from what a study keeps of its answers."""

import json
from pathlib import Path

import pytest
from benchmarks.study_references import answers_of, scores


def test_answers_are_read_in_the_order_of_rows(tmp_path: Path) -> None:
    """They are kept in the order in which they came; those of a version that left the study are not counted."""
    folder = tmp_path / "answers-0123-64"
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps({"versions": {"e2e@1": "sha256:1"}}), encoding="utf-8")
    lines = [
        {"row": row, "digest": digest, "reply": {"text": f" {text}\n"}}
        for row, digest, text in (
            (1, "sha256:1", "b"),
            (0, None, "base"),
            (0, "sha256:1", "a"),
            (0, "sha256:9", "gone"),
        )
    ]
    (folder / "answers.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    assert answers_of(tmp_path) == {"e2e@1": ["a", "b"], "": ["base"]}


def test_any_reference_of_a_row_is_right() -> None:
    """Rows may have different numbers of them."""
    references = [["a cat sat on the mat", "the cat was on a mat"], ["it rains in the old town"]]
    assert scores(["the cat was on a mat", "it rains in the old town"], references) == pytest.approx((100.0, 100.0))
    assert scores(["the cat was on a mat", "it is dry in the old town"], references)[0] < 100.0
