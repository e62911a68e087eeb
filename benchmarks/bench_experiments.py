"""Live experiments: how often they err at any look, how long they take, what they cost on the way of a request.

``python -m benchmarks.bench_experiments [RUNS]`` prints a table and, as the last line, a JSON object;
``python -m benchmarks.bench_experiments server`` does so of what only a real server tells.
"""

import asyncio
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np
from benchmarks.report import Row, report, seconds
from numpy.typing import NDArray
from scipy.stats import norm
from tests.tiny import tiny_adapter, tiny_base

from lorarack.registry import Registry, open_registry
from lorarack.registry.experiment.evidence import Floats, log_evidence_above, log_evidence_above_from_sums
from lorarack.registry.experiment.guards import ALPHA as GUARD_ALPHA
from lorarack.registry.experiment.guards import Guard
from lorarack.registry.experiment.paired import PairedScores, Stratum, Sums
from lorarack.registry.experiment.scores import Scores
from lorarack.registry.experiment.sequence import log_difference_above, lower_bound
from lorarack.registry.experiment.values import ALPHA, Experiment
from lorarack.server.caller import Caller
from lorarack.server.exchange import Exchange
from lorarack.server.experiment_recorder import ExperimentRecorder
from lorarack.server.limits import Limits
from lorarack.server.policies.assign_arm import AssignArm
from lorarack.server.router import Ask, AssignedArm, Route

Flags: TypeAlias = NDArray[np.bool_]

LEVEL = math.log(2 / ALPHA)
LENGTH = 1000
_RIGHT_OR_WRONG = np.array([0.0, 1.0])
_PAIRED = np.array([-1.0, 0.0, 1.0])


def _thumbs(mean: float) -> Callable[[np.random.Generator, tuple[int, int]], Floats]:
    return lambda rng, size: (rng.random(size) < mean).astype(float)


def _stars(rng: np.random.Generator, size: tuple[int, int]) -> Floats:
    return rng.beta(2, 2, size)


def false_verdicts(runs: int) -> Iterator[Row]:
    """Equal arms, looked at after every request. The means are given to the evidence, so the share is an upper bound."""
    for name, share, draw in (
        ("right or wrong, mean 0.8, 50 to 50", 0.5, _thumbs(0.8)),
        ("right or wrong, mean 0.5, 90 to 10", 0.1, _thumbs(0.5)),
        ("graded, 50 to 50", 0.5, _stars),
    ):
        mean = 0.5 if "0.8" not in name else 0.8
        wrong = 0
        for block in range(0, runs, 500):
            rng = np.random.default_rng(block)
            size = (min(500, runs - block), LENGTH)
            arm, scores = rng.random(size) < share, draw(rng, size)
            one = _evidence(scores, arm, mean, graded="graded" in name)
            other = _evidence(scores, ~arm, mean, graded="graded" in name)
            better, worse = one[0] + other[1], one[1] + other[0]
            wrong += int((np.maximum(better, worse) >= LEVEL).any(axis=1).sum())
        yield _at_most(f"A/A, {name}: false verdicts, {runs:,} runs of {LENGTH:,}", wrong / runs, ALPHA)
    wrong, few = 0, max(20, runs // 50)
    for seed in range(few):
        rng = np.random.default_rng(seed)
        arm, good = rng.random(LENGTH) < 0.5, rng.random(LENGTH) < 0.8
        wrong += any(_called(arm[:count], good[:count]) for count in range(10, LENGTH, 10))
    yield _at_most(f"the same, as it is computed, each 10th request, {few} runs", wrong / few, ALPHA)
    missed = 0
    for block in range(0, runs, 500):
        drawn = np.random.default_rng(block).choice(3, size=(min(500, runs - block), LENGTH), p=[0.025, 0.95, 0.025])
        counts = np.stack([np.cumsum(drawn == value, axis=1) for value in range(3)], axis=-1).astype(float)
        both = [log_evidence_above(0.0, _PAIRED, each, -1.0) for each in (counts, counts[..., ::-1])]
        missed += int((np.maximum(*both) >= LEVEL).any(axis=1).sum())
    yield _at_most(
        f"A/A in pairs, 5 % of answers differ: false verdicts, {runs:,} runs of {LENGTH:,}", missed / runs, ALPHA
    )
    slow = np.cumsum(np.random.default_rng(9).random((runs, LENGTH)) < 0.05, axis=1)
    count = np.arange(1.0, LENGTH + 1)
    wealth = log_evidence_above(0.05, _RIGHT_OR_WRONG, np.stack([count - slow, slow], axis=-1), 0.0)
    share = float((wealth >= math.log(1 / GUARD_ALPHA)).any(axis=1).mean())
    yield _at_most(f"guard on a latency's true p95: false alarms, {runs:,} runs of {LENGTH:,}", share, GUARD_ALPHA)


def requests_to_a_verdict(runs: int) -> Iterator[Row]:
    """Equal arms until `not_worse`, next to a test of a fixed size that is looked at once, with a power of 80 %."""
    for mean, margin in ((0.8, 0.1), (0.95, 0.05)):
        took = [_until_not_worse(np.random.default_rng(seed), mean, margin) for seed in range(max(5, runs // 500))]
        fixed = 4 * mean * (1 - mean) * ((norm.ppf(1 - ALPHA / 2) + norm.ppf(0.8)) / margin) ** 2
        median = float(np.median(took))
        yield Row(
            f"requests to `not_worse`, mean {mean}, margin {margin}, 50 to 50, median",
            f"{median:,.0f}", f"{fixed:,.0f}, one look", median / fixed,
        )  # fmt: skip


def paired_to_a_verdict(runs: int) -> Iterator[Row]:
    """The same of arms that answer 5 % of the requests differently: with shadow answers, next to the split without them."""
    for margin, share in ((0.05, 0.5), (0.03, 0.5), (0.05, 0.1)):
        few = max(5, runs // 1000)
        split = [_until_not_worse(np.random.default_rng(seed), 0.8, margin, share) for seed in range(few)]
        pairs = [_until_pairs_not_worse(np.random.default_rng(seed), 0.05, margin, share) for seed in range(4 * few)]
        ours, peer = float(np.median(pairs)), float(np.median(split))
        shares = "50 to 50" if share == 0.5 else "90 to 10"
        yield Row(
            f"requests to `not_worse` in pairs ÷ split, 5 % of answers differ, mean 0.8, margin {margin}, {shares}, median",
            f"{ours:,.0f}", f"{peer:,.0f}", ours / peer, "≤ 1/6", ours <= peer / 6,
        )  # fmt: skip


def _until_pairs_not_worse(rng: np.random.Generator, differing: float, margin: float, share: float) -> int:
    """As an experiment looks at them: at half of alpha, for the split interval has the other half."""
    served = np.stack([rng.random(100_000) < chance for chance in (differing, share, 0.5)])
    count, level = 50, math.log(2 / (ALPHA / 2))
    while count < 100_000:
        differ, mine, right = served[:, :count]
        sides = [_sums(right[differ & side]) for side in (mine, ~mine)]
        stratum = Stratum(share=share, same=int((~differ).sum()), challenger=sides[0], reference=sides[1])
        if PairedScores(strata=(stratum,)).lower_bound(level) > -margin:
            break
        count = int(1.03 * count) + 1
    return count


def _sums(right: Flags) -> Sums:
    return Sums(count=len(right), total=float(right.sum()) - len(right) / 2, squares=0.25 * len(right))


def _evidence(scores: Floats, mine: Flags, mean: float, *, graded: bool) -> tuple[Floats, Floats]:
    """Log evidence that one arm's mean is above the true one, and below it; each of shape (runs, length)."""
    count, total = np.cumsum(mine, axis=1, dtype=float), np.cumsum(scores * mine, axis=1)
    if not graded:
        counts = np.stack([count - total, total], axis=-1)
        return (
            log_evidence_above(mean, _RIGHT_OR_WRONG, counts, 0.0),
            log_evidence_above(1 - mean, _RIGHT_OR_WRONG, counts[..., ::-1], 0.0),
        )
    estimate = (0.5 + total - scores * mine) / (count - mine + 1)
    deviation = np.cumsum(mine * (scores - estimate) ** 2, axis=1)
    return (
        log_evidence_above_from_sums(mean, count, total, deviation),
        log_evidence_above_from_sums(1 - mean, count, count - total, deviation),
    )


def _arms(arm: Flags, good: Flags) -> tuple[Scores, Scores]:
    return _scores(arm & good, arm), _scores(~arm & good, ~arm)


def _scores(good: Flags, mine: Flags) -> Scores:
    count, total = int(mine.sum()), int(good.sum())
    # As observing them one by one gives, but for its first few.
    return Scores(count=count, total=total, deviation=total - total**2 / count if count else 0.0)


def _called(arm: Flags, good: Flags) -> bool:
    one, other = _arms(arm, good)
    return max(log_difference_above(one, other, 0.0), log_difference_above(other, one, 0.0)) >= LEVEL


def _until_not_worse(rng: np.random.Generator, mean: float, margin: float, share: float = 0.5) -> int:
    arm, good = rng.random(100_000) < share, rng.random(100_000) < mean
    count = 50
    while count < 100_000 and lower_bound(*_arms(arm[:count], good[:count]), LEVEL) <= -margin:
        count = int(1.03 * count) + 1
    return count


def on_the_way(experiment: Experiment, registry: Registry) -> Iterator[Row]:
    """What one request pays: the policy whole, as the router calls it."""
    snapshot = registry.snapshot()
    version = snapshot.resolve("support@prod")
    limits = Limits("tiny", version.base_fingerprint, 16)
    policy = AssignArm(lambda: snapshot, limits, lambda arm, caller: None)
    route, caller = Route(version.reference, version.reference, version.digest, version), Caller("key")

    async def one(user: str) -> float:
        began = time.perf_counter()
        async with policy(Ask("support@prod", user=user), caller, route):
            return time.perf_counter() - began

    async def all_() -> list[float]:
        return [await one(f"user {number}") for number in range(20_000)]

    taken = np.array(asyncio.run(all_()))
    p50, p99 = (float(np.quantile(taken, q)) for q in (0.5, 0.99))
    yield Row("assignment on the way of a request, p50", seconds(p50), goal="≤ 20 µs", met=p50 <= 20e-6)
    yield Row("the same, p99", seconds(p99), goal="≤ 100 µs", met=p99 <= 100e-6)


def stickiness(experiment: Experiment) -> Row:
    """Of 10,000 users: the same arm in another process, and after each change of weights only moves into the arm that grew."""
    users = [f"user {number}" for number in range(10_000)]
    before = {user: experiment.assign(user).name for user in users}
    program = (
        "import sys; from lorarack.registry.experiment.values import Experiment\n"
        "e = Experiment.model_validate_json(sys.stdin.read())\n"
        "print(*(e.assign(f'user {n}').name for n in range(10_000)))"
    )
    given = experiment.model_dump_json()
    other = subprocess.run([sys.executable, "-c", program], input=given, capture_output=True, text=True, check=True)
    kept = sum(mine == theirs for mine, theirs in zip(before.values(), other.stdout.split(), strict=True))
    for weight in (20.0, 50.0, 90.0):
        arms = tuple(
            arm.model_copy(update={"weight": 100 - weight if place == 0 else weight})
            for place, arm in enumerate(experiment.arms)
        )
        after = {user: experiment.model_copy(update={"arms": arms}).assign(user).name for user in users}
        grown = arms[1].name
        kept -= sum(after[user] not in (before[user], grown) for user in users)
        before = after
    return Row(
        "users who keep their arm, or move into the one that grows, of 10,000",
        f"{kept:,}",
        goal="all",
        met=kept == 10_000,
    )


def guard_to_no_traffic(experiment: Experiment, registry: Registry) -> Row:
    """An arm fails every request, 100 a second; from the answer that breaks the guard until requests see the arm stopped."""

    async def run() -> float:
        snapshot = registry.snapshot()

        async def refresh() -> None:
            nonlocal snapshot
            snapshot = await asyncio.to_thread(registry.snapshot, snapshot)

        recorder = ExperimentRecorder(registry.experiments, refresh)
        keeping = asyncio.create_task(recorder.keep())
        guard, failed, crossed = Guard.parse(experiment.plan.guards[0]), 0, math.inf
        arm = AssignedArm(experiment.id, experiment.arms[1].name, "u")
        while len(snapshot.experiments["support", "prod"].open_arms) == 2:
            failed += 1
            route = Route("support@2", "support@2", "", arm=arm)
            done = Exchange(Caller("key"), "POST /x", route, status=500, completion=f"c{failed}")
            recorder.observer.end(done)
            if crossed == math.inf and guard.crossed_by_errors(failed, failed):
                crossed = time.perf_counter()
            await asyncio.sleep(0.01)
        took = time.perf_counter() - crossed
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        return took

    took = asyncio.run(run())
    return Row("guard broken → no more requests to the arm", seconds(took), goal="≤ 1 s", met=took <= 1)


def _at_most(what: str, share: float, allowed: float) -> Row:
    return Row(what, f"{100 * share:.2f} %", goal=f"≤ {100 * allowed:g} %", met=share <= allowed)


def main(runs: int) -> None:
    """Run everything."""
    rows = [*false_verdicts(runs), *requests_to_a_verdict(runs), *paired_to_a_verdict(runs)]
    with tempfile.TemporaryDirectory() as folder, open_registry(Path(folder) / "home") as registry:
        registry.add_base(str(tiny_base(Path(folder) / "base")), "tiny")
        for seed in (1, 2):
            registry.publish(tiny_adapter(Path(folder) / f"in{seed}", seed=seed), "support", base="tiny")
        registry.set_alias("support", "prod", 1)
        experiments = registry.experiments
        begun = experiments.start(
            experiments.plan("support", "prod", [("1", 90), ("2", 10)], guards=["error_rate<0.02"])
        )
        rows += [*on_the_way(begun, registry), stickiness(begun), guard_to_no_traffic(begun, registry)]
    report("experiments", rows)


if __name__ == "__main__":
    if sys.argv[1:] == ["server"]:
        from benchmarks.experiments_server import main as on_a_server

        on_a_server()
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
