"""How often `compare` is wrong, how often it decides, and how many rows it takes: by simulation.

``python -m benchmarks.bench_compare [PART…] [--runs N] [--versions N]`` prints a Markdown table for each part, without parts of all
of them, and as the last line a JSON object. ``docs/comparing.md`` has the tables.
"""

import argparse
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from benchmarks.report import Row, report, seconds
from benchmarks.simulated_scores import Floats, graded, hidden_losses, mostly_zero, right_or_wrong
from scipy.special import ndtri
from scipy.stats import binomtest
from scipy.stats import t as student

from lorarack.adapters.comparison.exact_test import score_statistic
from lorarack.adapters.comparison.margin_rule import adjusted_p_values, judge
from lorarack.adapters.comparison.paired import Pair
from lorarack.adapters.comparison.score_table import ScoreTable

_ROWS = (10, 30, 100, 300, 1000)
_Draw = Callable[[np.random.Generator, int, int, float, "float | Floats"], Floats]
_Groups = tuple[object, ...] | None


@dataclass(frozen=True, slots=True)
class Options:
    """How many comparisons are simulated in each cell, and with how many versions alone, if not with all numbers of them."""

    runs: int
    versions: int | None = None


def right_or_wrong_errors(options: Options) -> Iterator[str | Row]:
    """All versions but the best are behind by exactly the margin; wrong is a run that calls any of them not worse."""
    cases = ((0.01, 0.01), (0.03, 0.02), (0.06, 0.05), (0.1, 0.05), (0.2, 0.05), (0.5, 0.1))
    yield from _errors("right or wrong", right_or_wrong, (2, 3, 4, 6), cases, options)


def graded_errors(options: Options) -> Iterator[str | Row]:
    """The same for graded scores."""
    cases = ((0.03, 0.01), (0.06, 0.02), (0.15, 0.05), (0.3, 0.05), (0.5, 0.05))
    yield from _errors("graded", graded, (2, 3, 4, 6), cases, options)


def rare_errors(options: Options) -> Iterator[str | Row]:
    """Graded scores that tests are known to be wrong on."""
    yield from _errors("hidden losses", hidden_losses, (2, 6), ((0.1, 0.05), (0.5, 0.02)), options)
    yield from _errors("mostly zero", mostly_zero, (2, 6), ((0.1, 0.02), (0.3, 0.05)), options, head=False)


def leaders_errors(options: Options) -> Iterator[str | Row]:
    """Three equally good versions, of which the best is chosen by the rows, and three that are behind."""
    yield from _errors("right or wrong", right_or_wrong, (6,), ((0.1, 0.05), (0.2, 0.05)), options, leaders=3)
    yield from _errors("graded", graded, (6,), ((0.3, 0.05), (0.5, 0.05)), options, head=False, leaders=3)


def groups_errors(options: Options) -> Iterator[str | Row]:
    """Rows in groups of one to seven that have the same scores."""
    yield from _errors("right or wrong", right_or_wrong, (2, 6), ((0.2, 0.05),), options, grouped=True)
    yield from _errors("graded", graded, (2, 6), ((0.3, 0.05),), options, head=False, grouped=True)


def _errors(
    name: str,
    draw: _Draw,
    counts: tuple[int, ...],
    cases: tuple[tuple[float, float], ...],
    options: Options,
    *,
    leaders: int = 1,
    grouped: bool = False,
    head: bool = True,
) -> Iterator[str | Row]:
    if head:
        yield "| scores | versions | differing rows | margin | " + " | ".join(f"{rows} rows" for rows in _ROWS) + " |"
        yield "| --- | ---: | ---: | ---: |" + " ---: |" * len(_ROWS)
    for versions in (count for count in counts if options.versions in (None, count)):
        for differing, margin in cases:
            cells, largest, runs = [], 0.0, options.runs
            for rows in _ROWS:
                source = np.random.default_rng([rows, versions, int(1000 * differing)])
                wrong = sum(
                    _wrong(
                        *_drawn(source, draw, rows, versions, differing, margin, leaders, grouped=grouped),
                        margin,
                        leaders,
                    )
                    for _ in range(runs)
                )
                least = binomtest(wrong, runs).proportion_ci(0.99).low
                largest = max(largest, wrong / runs)
                cells.append(f"{100 * wrong / runs:.1f}" + (" (above 5)" if least > 0.05 else ""))
            yield f"| {name} | {versions} | {100 * differing:g} % | {100 * margin:g} | {' | '.join(cells)} |"
            case = f"{name}{_kind(leaders, grouped=grouped)}, {versions} versions, {100 * differing:g} % of the rows differ"
            yield Row(
                f"{case}, margin {100 * margin:g}: false answers at most, 10 to 1,000 rows",
                f"{100 * largest:.1f} %", goal="not surely above 5 %", met=not any("above" in cell for cell in cells),
            )  # fmt: skip


def _kind(leaders: int, *, grouped: bool) -> str:
    return ", in groups" if grouped else ", three equal leaders" if leaders > 1 else ""


def _drawn(
    source: np.random.Generator,
    draw: _Draw,
    rows: int,
    versions: int,
    differing: float,
    margin: float,
    leaders: int,
    *,
    grouped: bool,
) -> tuple[Floats, _Groups]:
    """Scores, and the groups of the rows: of up to seven rows, which all have the scores of one."""
    behind: float | Floats = margin
    if leaders > 1:
        behind = np.array([0.0] * (leaders - 1) + [margin] * (versions - leaders))
    scores = draw(source, rows, versions, differing, behind)
    if not grouped:
        return scores, None
    groups = np.repeat(np.arange(rows), source.integers(1, 8, rows))[:rows]
    return scores[groups], tuple(groups.tolist())


def _wrong(scores: Floats, groups: _Groups, margin: float, leaders: int) -> bool:
    """Whether the rule calls any version behind the leaders not worse. What cannot be is not computed."""
    count = scores.shape[1]
    table = ScoreTable(tuple(f"a@{number}" for number in range(count)), scores, groups)
    top = int(scores[:, :leaders].mean(axis=0).argmax())
    tested = [(table.pair(i, top), i) for i in range(leaders, count)]
    least = min((pair.p_value(-margin) for pair, _ in tested if pair.estimate > -margin), default=1.0)
    if least > 0.05 / (count - 1 if leaders == 1 else 1):
        return False
    pairs = {(i, j): table.pair(i, j) for i in range(count) for j in range(count) if i != j}
    return any(p <= 0.05 for p, _ in adjusted_p_values(pairs, count, margin)[leaders:])


def power(options: Options) -> Iterator[str | Row]:
    """Two versions that are equally good: how often the cheaper is called not worse, here and by the textbook's test.

    The textbook's is the score test with the normal distribution for right or wrong, and the paired t-test for graded scores. Its
    own error rate is simulated with a version that is behind by the margin, and in the last column its critical value is moved
    so that it is 5 %.
    """
    yield "| scores | differing rows | margin | rows | compare | textbook | its error rate | held to 5 % |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    runs = options.runs
    for name, draw, differing, margin, rows in (
        ("right or wrong", right_or_wrong, 0.1, 0.05, 100),
        ("right or wrong", right_or_wrong, 0.1, 0.05, 250),
        ("right or wrong", right_or_wrong, 0.2, 0.05, 500),
        ("right or wrong", right_or_wrong, 0.5, 0.1, 300),
        ("right or wrong", right_or_wrong, 0.2, 0.03, 1000),
        ("graded", graded, 0.15, 0.05, 100),
        ("graded", graded, 0.3, 0.05, 100),
        ("graded", graded, 0.3, 0.03, 200),
        ("graded", graded, 0.5, 0.03, 200),
        ("graded", graded, 0.5, 0.02, 500),
        ("graded", graded, 0.3, 0.01, 1000),
    ):
        binary = name != "graded"
        source, ours = np.random.default_rng(rows), 0
        equal, behind = np.empty(runs), np.empty(runs)
        for run in range(runs):
            scores = draw(source, rows, 2, differing, 0.0)
            ours += _pair(scores).p_value(-margin) <= 0.05
            equal[run] = _textbook(scores[:, 1] - scores[:, 0], margin, binary=binary)
            scores = draw(source, rows, 2, differing, margin)
            behind[run] = _textbook(scores[:, 1] - scores[:, 0], margin, binary=binary)
        critical = float(ndtri(0.95)) if binary else float(student.ppf(0.95, rows - 1))
        shares = ours / runs, (equal > critical).mean(), (behind > critical).mean()
        held = (equal > np.quantile(behind, 0.95)).mean()
        cells = " | ".join(f"{100 * share:.0f} %" for share in (*shares[:2], held))
        first, second, third = cells.split(" | ")
        yield (
            f"| {name} | {100 * differing:g} % | {100 * margin:g} | {rows} | {first} | {second} | {100 * shares[2]:.1f} % "
            f"| {third} |"
        )
        yield Row(
            f"{name}, {100 * differing:g} % of {rows} rows differ, margin {100 * margin:g}: equal versions are called not worse",
            first, f"{third}, the textbook held to 5 %", float(shares[0] / held), "within 5 points", bool(shares[0] >= held - 0.05),
        )  # fmt: skip


def _pair(scores: Floats) -> Pair:
    return ScoreTable(("a@0", "a@1"), scores).pair(1, 0)


def _textbook(gains: Floats, margin: float, *, binary: bool) -> float:
    """The textbook's statistic."""
    if binary:
        wins, losses = np.asarray((gains > 0).sum() * 1.0), np.asarray((gains < 0).sum() * 1.0)
        return float(score_statistic(wins, losses, len(gains), -margin))
    error = float(gains.std(ddof=1)) / math.sqrt(len(gains))
    return (float(gains.mean()) + margin) / error if error else 0.0


def sample_sizes(options: Options) -> Iterator[str | Row]:
    """Rows for 80 % answers where two versions are equally good: found by halving, each step simulated."""
    margins = (0.01, 0.02, 0.03, 0.05, 0.1)
    yield "| differing rows | " + " | ".join(f"margin {100 * margin:g}" for margin in margins) + " |"
    yield "| ---: |" + " ---: |" * len(margins)
    for differing in (0.02, 0.05, 0.1, 0.2, 0.3, 0.5):
        sizes = [_rows_for(differing, margin, options.runs // 4) for margin in margins]
        yield f"| {100 * differing:g} % | " + " | ".join(f"{size:,}" for size in sizes) + " |"
        for margin, size in zip(margins, sizes, strict=True):
            yield Row(f"rows for 80 % answers, {100 * differing:g} % differ, margin {100 * margin:g}", f"{size:,}")


def _rows_for(differing: float, margin: float, runs: int) -> int:
    normal = (float(ndtri(0.95)) + float(ndtri(0.8))) ** 2 * differing / margin**2
    low, high = int(max(normal, 20) * 0.5), int(max(3 * math.log(20) / margin, 1.6 * normal))
    while high - low > max(2, high // 50):
        rows = (low + high) // 2
        source = np.random.default_rng(rows)
        decided = sum(
            _pair(right_or_wrong(source, rows, 2, differing, 0.0)).p_value(-margin) <= 0.05 for _ in range(runs)
        )
        low, high = (low, rows) if decided >= 0.8 * runs else (rows, high)
    return float(f"{high:.2g}").__int__() if high >= 100 else high


def speed(_: Options) -> Iterator[str | Row]:
    """Seconds for a whole verdict."""
    yield "| scores | versions | rows | seconds |"
    yield "| --- | ---: | ---: | ---: |"
    for name, draw in (("right or wrong", right_or_wrong), ("graded", graded)):
        for versions, rows in ((2, 1000), (6, 1000), (2, 40_000), (6, 40_000)):
            scores = draw(np.random.default_rng(1), rows, versions, 0.2, 0.0)
            table = ScoreTable(tuple(f"a@{number}" for number in range(versions)), scores)
            began = time.perf_counter()
            judge(table, 0.05)
            took = time.perf_counter() - began
            yield f"| {name} | {versions} | {rows:,} | {took:.2f} |"
            yield Row(f"a verdict on {versions} versions, {rows:,} rows, {name}", seconds(took))


PARTS: dict[str, tuple[str, Callable[[Options], Iterator[str | Row]]]] = {
    "right-or-wrong": ("False answers, right or wrong, in per cent", right_or_wrong_errors),
    "graded": ("False answers, graded, in per cent", graded_errors),
    "rare": ("False answers, rare large differences, in per cent", rare_errors),
    "leaders": ("False answers, three equal leaders, in per cent", leaders_errors),
    "groups": ("False answers, rows in groups, in per cent", groups_errors),
    "power": ("Power", power),
    "rows": ("Rows for a margin in points", sample_sizes),
    "speed": ("Speed", speed),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables, and all of it as a table of rows and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; without any all")
    parser.add_argument("--runs", type=int, default=4000, help="simulated comparisons in each cell")
    parser.add_argument("--versions", type=int, help="error rates with this number of versions only")
    given = parser.parse_args(arguments)
    rows: list[Row] = []
    for part in given.parts or PARTS:
        title, lines = PARTS[part]
        print(f"\n### {title}\n")
        for line in lines(Options(given.runs, given.versions)):
            if isinstance(line, Row):
                rows.append(line)
            else:
                print(line, flush=True)
    print()
    report("compare", rows)


if __name__ == "__main__":
    main()
