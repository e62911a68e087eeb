"""What is said of a challenger, when a guard trips, and whether the arms were dealt as promised."""

import math

import numpy as np
import pytest

from lorarack.registry.errors import UsageError
from lorarack.registry.experiment.evidence import Floats
from lorarack.registry.experiment.guards import Guard
from lorarack.registry.experiment.latencies import Latencies
from lorarack.registry.experiment.sample_ratio import log_mismatch
from lorarack.registry.experiment.sequence import BoundedSums, ConfidenceSequence, PairedCounts
from lorarack.registry.experiment.verdict import ExperimentState, requests_needed, verdict


def said(counts: PairedCounts, margin: float = 0.05, limit: int | None = None) -> str:
    return verdict(ConfidenceSequence(counts).look(), margin, limit=limit)


def test_verdicts() -> None:
    assert said(PairedCounts()) == "running"
    assert said(PairedCounts(0, 10, 0)) == "running"
    assert said(PairedCounts(10, 380, 12)) == "not_worse"
    assert said(PairedCounts(2, 300, 30)) == "better"
    assert said(PairedCounts(90, 300, 5)) == "worse"
    assert said(PairedCounts(20, 60, 20), limit=100) == "undecided"
    assert said(PairedCounts(20, 60, 20), limit=101) == "running"
    assert set(ExperimentState) == {"running", "better", "not_worse", "worse", "undecided"}


@pytest.mark.parametrize("margin", [0.0, -0.1, 1.0, math.nan])
def test_a_margin_that_decides_nothing_is_refused(margin: float) -> None:
    with pytest.raises(UsageError, match="above 0 and below 1"):
        said(PairedCounts(), margin)


@pytest.mark.parametrize("difference", [0.5, 2, -1.5, math.nan])
def test_a_difference_out_of_range_is_refused(difference: float) -> None:
    with pytest.raises(UsageError):
        PairedCounts().observe(difference)
    if difference != 0.5:
        with pytest.raises(UsageError):
            BoundedSums().observe(difference)


@pytest.mark.parametrize(("differing", "mean"), [(0.05, 0.0), (0.2, 0.0), (0.1, 0.03)])
def test_the_promised_number_of_requests_is_about_what_it_takes(differing: float, mean: float) -> None:
    shares = np.array([(differing - mean) / 2, 1 - differing, (differing + mean) / 2])
    promised = requests_needed(PairedCounts(*(int(share * 1000) for share in shares)), 0.05)
    assert promised is not None
    took = []
    for seed in range(15):
        counts, rng = PairedCounts(), np.random.default_rng(seed)
        while said(counts) == "running":
            for difference in rng.choice([-1, 0, 1], size=10, p=shares):
                counts = counts.observe(int(difference))
        took.append(counts.count)
    assert 0.5 < promised / float(np.median(took)) < 2


def test_no_number_is_promised_for_a_challenger_that_the_pilot_found_worse() -> None:
    assert requests_needed(PairedCounts(10, 40, 0), 0.05) is None


# Guards


@pytest.mark.parametrize(
    ("text", "guard"),
    [
        ("error_rate<0.02", Guard("error_rate", 0.02)),
        ("error_rate < 2%", Guard("error_rate", 0.02)),
        ("ttft_p95<2s", Guard("ttft", 0.05, seconds=2.0)),
        ("itl_p50<40ms", Guard("itl", 0.5, seconds=0.04)),
        ("ttft_p95<1.2x", Guard("ttft", 0.05, factor=1.2)),
    ],
)
def test_guards_are_read(text: str, guard: Guard) -> None:
    read = Guard.parse(text)
    assert (read.metric, read.seconds, read.factor) == (guard.metric, guard.seconds, guard.factor)
    assert read.share == pytest.approx(guard.share)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "error_rate",
        "error_rate<0",
        "error_rate<1",
        "error_rate<2s",
        "ttft_p95<0.9x",
        "ttft_p95<1x",
        "ttft_p0<1s",
        "ttft_p100<1s",
        "ttft_p95<2",
        "ttft_p95>2s",
        "thumbs<0.1",
        "error_rate<-1",
        "ttft_p95<0s",
        "ttft_p95<nans",
    ],
)
def test_what_is_no_guard_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="guard"):
        Guard.parse(text)


def test_a_guard_on_errors_trips_soon_and_not_by_chance() -> None:
    guard = Guard.parse("error_rate<0.02")
    assert guard.crossed_by_errors(12, 6)
    assert not guard.crossed_by_errors(1, 1)
    assert not guard.crossed_by_errors(1000, 22)
    rng = np.random.default_rng(1)
    errors = np.cumsum(rng.random((300, 400)) < 0.02, axis=1)
    looks = range(9, 400, 10)
    crossed = [any(guard.crossed_by_errors(n + 1, int(run[n])) for n in looks) for run in errors]
    assert sum(crossed) / len(crossed) <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / 300)


def latencies(seed: int, factor: float = 1.0, count: int = 400) -> Latencies:
    drawn = factor * np.random.default_rng(seed).lognormal(-1, 0.5, count)
    buckets = Latencies()
    for seconds in drawn:
        buckets = buckets.observe(float(seconds))
    return buckets


def test_a_guard_on_latency_is_about_the_arm_next_to_the_reference() -> None:
    guard = Guard.parse("ttft_p95<1.2x")
    assert not any(guard.crossed_by_latencies(latencies(seed), latencies(seed + 100)) for seed in range(60))
    assert guard.crossed_by_latencies(latencies(1, factor=2.5), latencies(2))
    assert not guard.crossed_by_latencies(latencies(1, factor=2.5), Latencies())
    assert Guard.parse("ttft_p95<500ms").crossed_by_latencies(latencies(1), Latencies())
    assert not Guard.parse("ttft_p95<5s").crossed_by_latencies(latencies(1), Latencies())


def test_a_latency_counts_as_above_only_when_its_whole_bucket_is() -> None:
    one = Latencies().observe(1.0)
    assert one.surely_above(1.0) == 0
    assert one.surely_above(0.95) == 1
    assert Latencies().observe(1.01).surely_above(1.0) == 1


# Sample ratio


def test_arms_dealt_as_promised_are_rarely_called_mismatched_and_others_are() -> None:
    weights = {"3": 90.0, "5": 10.0}
    rng = np.random.default_rng(3)
    dealt = np.cumsum(rng.random((500, 500)) < 0.1, axis=1, dtype=np.float64)
    looks = range(9, 500, 10)

    def ever(run: Floats) -> bool:
        return any(
            log_mismatch({"3": n + 1 - int(run[n]), "5": int(run[n])}, weights) >= math.log(1 / 0.05) for n in looks
        )

    assert sum(map(ever, dealt)) / len(dealt) <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / 500)
    assert log_mismatch({"3": 400, "5": 100}, weights) > math.log(1000)
    assert log_mismatch({}, weights) == pytest.approx(0)


def test_a_caller_on_an_arm_without_weight_is_a_mismatch() -> None:
    assert log_mismatch({"3": 1, "5": 1}, {"3": 1.0, "5": 0.0}) == math.inf
