"""What is said of a challenger, when a guard trips, and whether the arms were assigned as promised."""

import math

import numpy as np
import pytest

from lorarack.registry.errors import UsageError
from lorarack.registry.experiment.evidence import Floats
from lorarack.registry.experiment.guards import Guard
from lorarack.registry.experiment.latencies import Latencies
from lorarack.registry.experiment.sample_ratio import log_mismatch
from lorarack.registry.experiment.sequence import ConfidenceSequence
from lorarack.registry.experiment.verdict import check_margin, verdict


@pytest.mark.parametrize(
    ("low", "high", "count", "said"),
    [
        (-1.0, 1.0, 0, "running"),
        (-0.06, 0.1, 99, "running"),
        (-0.06, 0.1, 100, "undecided"),
        (-0.04, 0.1, 100, "not_worse"),
        (0.01, 0.1, 5, "better"),
        (-0.3, -0.06, 5, "worse"),
        (-0.3, -0.04, 5, "running"),
    ],
)
def test_verdicts(low: float, high: float, count: int, said: str) -> None:
    assert verdict(ConfidenceSequence(low, high), 0.05, count, limit=100) == said


@pytest.mark.parametrize("margin", [0.0, -0.1, 1.0, math.nan])
def test_a_margin_that_decides_nothing_is_refused(margin: float) -> None:
    with pytest.raises(UsageError, match="above 0 and below 1"):
        check_margin(margin)


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


def test_a_quantile_is_within_a_bucket_of_the_true_one() -> None:
    drawn = latencies(1)
    true = float(np.quantile(np.random.default_rng(1).lognormal(-1, 0.5, 400), 0.95, method="inverted_cdf"))
    found = drawn.quantile(0.95)
    assert found is not None
    assert true <= found <= 1.051 * true
    assert Latencies().quantile(0.5) is None


# Sample ratio


def test_arms_dealt_as_promised_are_rarely_called_mismatched_and_others_are() -> None:
    weights = {"3": 90.0, "5": 10.0}
    rng = np.random.default_rng(3)
    assigned = np.cumsum(rng.random((500, 500)) < 0.1, axis=1, dtype=np.float64)
    looks = range(9, 500, 10)

    def ever(run: Floats) -> bool:
        return any(
            log_mismatch({"3": n + 1 - int(run[n]), "5": int(run[n])}, weights) >= math.log(1 / 0.05) for n in looks
        )

    assert sum(map(ever, assigned)) / len(assigned) <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / 500)
    assert log_mismatch({"3": 400, "5": 100}, weights) > math.log(1000)
    assert log_mismatch({}, weights) == pytest.approx(0)


def test_a_caller_on_an_arm_without_weight_is_a_mismatch() -> None:
    assert log_mismatch({"3": 1, "5": 1}, {"3": 1.0, "5": 0.0}) == math.inf
