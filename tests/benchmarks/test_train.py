"""The benchmark of training runs, on a tiny size; no time is held against anything here."""

import json
from pathlib import Path

import pytest
from benchmarks.against_trl import _row, _spec
from benchmarks.training_side import Side, Spec
from benchmarks.training_side import main as training_side
from tests.tiny import tiny_base

pytestmark = pytest.mark.torch


def test_truncation_is_measured_beside_peft() -> None:
    from benchmarks.truncating import WITHIN, truncating

    (row,) = truncating(2, 8, {"self_attn.q_proj": (32, 32), "mlp.down_proj": (32, 64)})
    assert row.ratio is not None
    assert row.ratio > 0
    assert float(row.note.rpartition(" ")[2]) <= WITHIN


@pytest.fixture
def spec(tmp_path: Path) -> Spec:
    """A tiny base, and rows as the benchmark writes them."""
    rows = [{"prompt": f"{letter}:", "completion": f" {letter * 3} "} for letter in "abcdefghijklmnop"]
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return _spec(tmp_path, tiny_base(tmp_path / "base"), data, 1, validation=2, ranks=(1, 2))


def test_the_rows_of_both_sides_share_no_prompt(spec: Spec) -> None:
    """The tokens of a prompt end at a line end, for a tokenizer that reads both texts together as well."""
    train, validation = (
        [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]
        for path in (spec.train, spec.validation)
    )
    assert (len(train), len(validation)) == (8, 2)
    assert not {row["prompt"] for row in train} & {row["prompt"] for row in validation}
    assert all(row["prompt"].endswith("\n") and row["completion"] == row["completion"].strip() for row in train)


@pytest.mark.parametrize("side", ["lorarack", "ladder"])
def test_our_side_is_measured(spec: Spec, side: Side) -> None:
    """TRL's side is not run in the tests: it wants a package that is no dependency."""
    found = training_side(side, spec)
    assert found["seconds"] > 0
    assert found["peak_mib"] > 0
    assert found["loss"] > 0
    assert found["seconds"] > found.get("steps", 0) >= 0


def test_a_row_is_met_by_its_ratio_and_its_loss() -> None:
    """Fast at the price of a higher loss is no gain."""
    peer = [{"seconds": 20.0, "loss": 1.0, "peak_mib": 9.0}]
    for loss, met in ((1.0, True), (1.5, False)):
        row = _row("one run", [{"seconds": 10.0, "loss": loss, "peak_mib": 5.0}], peer, 1, 1.6, "note")
        assert (row.ratio, row.met) == (2.0, met)
    assert _row("one run", peer, peer, 1, 1.6, "note").met is False
