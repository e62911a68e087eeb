"""How often `compare` is wrong, how often it decides, and how many rows it takes: by simulation.

``python -m benchmarks.bench_compare [RUNS]`` prints four Markdown tables. ``docs/comparing.md`` has them.
"""

import math
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
from benchmarks.simulated_scores import Floats, graded, right_or_wrong
from scipy.special import ndtr, ndtri
from scipy.stats import t as student

from lorarack.adapters.comparison.margin_rule import adjusted_p_values, judge
from lorarack.adapters.comparison.paired import Pair
from lorarack.adapters.comparison.score_table import ScoreTable

_ROWS = (10, 30, 100, 300, 1000)
_Draw = Callable[[np.random.Generator, int, int, float, float], Floats]


def error_rates(runs: int) -> Iterator[str]:
    """All versions but the best are behind by exactly the margin; wrong is a run that calls any of them not worse."""
    yield "| scores | versions | differing rows | margin | " + " | ".join(f"{rows} rows" for rows in _ROWS) + " |"
    yield "| --- | ---: | ---: | ---: |" + " ---: |" * len(_ROWS)
    cases = [
        ("right or wrong", right_or_wrong, versions, differing, margin)
        for versions in (2, 4, 6)
        for differing, margin in ((0.01, 0.01), (0.03, 0.02), (0.06, 0.05), (0.1, 0.05), (0.2, 0.05), (0.5, 0.1))
    ] + [
        ("graded", graded, versions, differing, margin)
        for versions in (2, 4, 6)
        for differing, margin in ((0.03, 0.01), (0.06, 0.02), (0.15, 0.05), (0.3, 0.05), (0.5, 0.05))
    ]
    for name, draw, versions, differing, margin in cases:
        rates = [_wrong(draw, rows, versions, differing, margin, _fewer(runs, rows, versions, name)) for rows in _ROWS]
        cells = " | ".join(f"{100 * rate:.1f}" for rate in rates)
        yield f"| {name} | {versions} | {100 * differing:g} % | {100 * margin:g} | {cells} |"


def _fewer(runs: int, rows: int, versions: int, name: str) -> int:
    return max(500, runs * 2 // versions // (2 if name == "graded" or rows == 1000 else 1))


def _wrong(draw: _Draw, rows: int, versions: int, differing: float, margin: float, runs: int) -> float:
    source = np.random.default_rng(rows * versions)
    return sum(any(_not_worse(draw(source, rows, versions, differing, margin), margin)[1:]) for _ in range(runs)) / runs


def _not_worse(scores: Floats, margin: float) -> list[bool]:
    count = scores.shape[1]
    table = ScoreTable(tuple(f"a@{number}" for number in range(count)), scores)
    pairs: dict[tuple[int, int], Pair] = {
        (i, j): table.pair(i, j) for i in range(count) for j in range(count) if i != j
    }
    return [p <= 0.05 for p, _ in adjusted_p_values(pairs, count, margin)]


def power(runs: int) -> Iterator[str]:
    """Two versions that are equally good: how often the cheaper is called not worse, here and by the textbook's test.

    The textbook's is the score test with the normal distribution for right or wrong, and the paired t-test for graded scores.
    """
    yield "| scores | differing rows | margin | rows | compare | textbook |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    for name, draw, differing, margin, rows in (
        ("right or wrong", right_or_wrong, 0.1, 0.05, 100),
        ("right or wrong", right_or_wrong, 0.1, 0.05, 250),
        ("right or wrong", right_or_wrong, 0.2, 0.05, 500),
        ("right or wrong", right_or_wrong, 0.5, 0.1, 300),
        ("right or wrong", right_or_wrong, 0.2, 0.03, 1000),
        ("graded", graded, 0.3, 0.03, 200),
        ("graded", graded, 0.5, 0.03, 200),
        ("graded", graded, 0.5, 0.02, 500),
        ("graded", graded, 0.3, 0.01, 1000),
    ):
        source, ours, textbook = np.random.default_rng(rows), 0, 0
        for _ in range(runs):
            scores = draw(source, rows, 2, differing, 0.0)
            ours += _not_worse(scores, margin)[1]
            textbook += _textbook(scores[:, 1] - scores[:, 0], margin, binary=name != "graded")
        yield (
            f"| {name} | {100 * differing:g} % | {100 * margin:g} | {rows} | {100 * ours / runs:.0f} % "
            f"| {100 * textbook / runs:.0f} % |"
        )


def _textbook(gains: Floats, margin: float, *, binary: bool) -> bool:
    from lorarack.adapters.comparison.exact_test import score_statistic

    if binary:
        wins, losses = np.asarray((gains > 0).sum() * 1.0), np.asarray((gains < 0).sum() * 1.0)
        return bool(ndtr(-score_statistic(wins, losses, len(gains), -margin)) <= 0.05)
    error = float(gains.std(ddof=1)) / math.sqrt(len(gains))
    return error > 0 and float(gains.mean()) - student.ppf(0.95, len(gains) - 1) * error > -margin


def sample_sizes(runs: int) -> Iterator[str]:
    """Rows for 80 % answers where two versions are equally good: found by halving, each step simulated."""
    margins = (0.01, 0.02, 0.03, 0.05, 0.1)
    yield "| differing rows | " + " | ".join(f"margin {100 * margin:g}" for margin in margins) + " |"
    yield "| ---: |" + " ---: |" * len(margins)
    for differing in (0.02, 0.05, 0.1, 0.2, 0.3, 0.5):
        sizes = [_rows_for(differing, margin, runs) for margin in margins]
        yield f"| {100 * differing:g} % | " + " | ".join(f"{size:,}" for size in sizes) + " |"


def _rows_for(differing: float, margin: float, runs: int) -> int:
    normal = (float(ndtri(0.95)) + float(ndtri(0.8))) ** 2 * differing / margin**2
    low, high = int(max(normal, 20) * 0.5), int(max(3 * math.log(20) / margin, 1.6 * normal))
    while high - low > max(2, high // 50):
        rows = (low + high) // 2
        source = np.random.default_rng(rows)
        decided = sum(_not_worse(right_or_wrong(source, rows, 2, differing, 0.0), margin)[1] for _ in range(runs))
        low, high = (low, rows) if decided >= 0.8 * runs else (rows, high)
    return float(f"{high:.2g}").__int__() if high >= 100 else high


def speed() -> Iterator[str]:
    """Seconds for a whole verdict."""
    yield "| scores | versions | rows | seconds |"
    yield "| --- | ---: | ---: | ---: |"
    for name, draw in (("right or wrong", right_or_wrong), ("graded", graded)):
        for versions, rows in ((2, 1000), (6, 1000), (2, 40_000), (6, 40_000)):
            scores = draw(np.random.default_rng(1), rows, versions, 0.2, 0.0)
            table = ScoreTable(tuple(f"a@{number}" for number in range(versions)), scores)
            began = time.perf_counter()
            judge(table, 0.05)
            yield f"| {name} | {versions} | {rows:,} | {time.perf_counter() - began:.2f} |"


def main() -> None:
    """Print all tables; a number of runs may be given (4,000)."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 4000
    for title, lines in (
        ("False answers, in per cent", error_rates(runs)),
        ("Power", power(runs // 4)),
        ("Rows for a margin in points", sample_sizes(max(runs // 8, 100))),
        ("Speed", speed()),
    ):
        print(f"\n### {title}\n")
        for line in lines:
            print(line, flush=True)


if __name__ == "__main__":
    main()
