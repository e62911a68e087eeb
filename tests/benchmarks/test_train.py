"""The benchmark of training runs, on a tiny size; no time is held against anything here."""

import pytest

pytestmark = pytest.mark.torch


def test_truncation_is_measured_beside_peft() -> None:
    from benchmarks.truncating import WITHIN, truncating

    (row,) = truncating(2, 8, {"self_attn.q_proj": (32, 32), "mlp.down_proj": (32, 64)})
    assert row.ratio is not None
    assert row.ratio > 0
    assert float(row.note.rpartition(" ")[2]) <= WITHIN
