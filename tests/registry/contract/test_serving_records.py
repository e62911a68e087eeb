"""What servers found of a version is kept with it, in every registry: the newest counts."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.tiny import tiny_adapter

from lorarack.registry import Registry
from lorarack.registry.errors import NotFound
from lorarack.registry.parity import Parity, ParityState, ServingRecord

PARITY = Parity(
    state=ParityState.SAME, mean=0.002, largest=0.01, tolerance=0.01, effect=0.5, tokens=90,
    trained_in="float32", served_in="float32",
)  # fmt: skip
RECORD = ServingRecord(
    at=datetime(2026, 3, 4, tzinfo=UTC), vllm="0.32.0", dtype="float32", base_fingerprint="sha256:" + "b" * 64,
    effect="changes it", parity=PARITY,
)  # fmt: skip


def test_the_newest_record_of_a_version_counts(each_registry: Registry, base_folder: Path, tmp_path: Path) -> None:
    each_registry.add_base(str(base_folder), "tiny")
    one, other = (
        each_registry.publish(tiny_adapter(tmp_path / f"{seed}", seed=seed), "support", base="tiny").version
        for seed in (1, 2)
    )
    assert each_registry.serving_record(one) is None
    each_registry.keep_serving_record(one, RECORD)
    newer = RECORD.model_copy(update={"vllm": "0.33.0", "refused": "it is not", "parity": None})
    each_registry.keep_serving_record(one, newer)
    each_registry.keep_serving_record(other, RECORD)
    assert each_registry.serving_record(one) == newer
    assert each_registry.serving_record(other) == RECORD
    events = [event for event in each_registry.events(adapter="support") if event.kind == "served"]
    assert [(event.version, event.detail["vllm"]) for event in events] == [(1, "0.32.0"), (1, "0.33.0"), (2, "0.32.0")]
    gone = one.model_copy(update={"number": 9})
    assert each_registry.serving_record(gone) is None
    with pytest.raises(NotFound):
        each_registry.keep_serving_record(gone, RECORD)
