"""The benchmark of fairness can fail: an engine without the queue, and a queue without its counters, miss what it asks for."""

import pytest
from benchmarks import bench_fairness
from benchmarks.bench_fairness import cold_waits, largest_gap, rows, throughput


def test_the_queue_keeps_what_it_promises() -> None:
    """Over fewer steps than `make bench-fairness` takes."""
    found = {row.what.partition(",")[0].partition(":")[0]: row.met for row in rows(4000)}
    assert found == {"two backlogged adapters": True, "cold adapter under saturation": True, "throughput": True}


async def test_first_come_first_served_keeps_none_of_it() -> None:
    assert await largest_gap(fair=False, steps=1000) > 5 * await largest_gap(fair=True, steps=1000)
    waits, share = await cold_waits(fair=False, steps=4000)
    assert waits > 5 * share


async def test_rows_that_nobody_waits_for_cost_throughput(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the next request is let in only once a row is free."""
    monkeypatch.setattr(bench_fairness, "STEPS_AHEAD", 0.0)
    assert await throughput(fair=True, steps=2000, share=0.1) < 0.9 * bench_fairness.ROWS
