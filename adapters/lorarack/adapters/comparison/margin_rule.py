"""The rule: recommend the cheapest version that is not worse than the best one by the margin.

"Not worse" must be shown against every other version, so it does not matter which of them is truly the best, and choosing the
best by the same rows costs nothing (as in Hsu's multiple comparisons with the best). Holm's steps share the five per cent among
the versions; as the best one is never worse than itself, they are one fewer than there are versions (Shaffer). Sources: J. C. Hsu,
"Multiple Comparisons" (1996); S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
Statistics 6 (1979); J. P. Shaffer, "Modified sequentially rejective multiple test procedures", JASA 81 (1986).
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from lorarack.adapters.comparison.paired import Pair, lower_bound, upper_bound
from lorarack.adapters.comparison.rows_needed import rows_needed
from lorarack.adapters.comparison.score_table import ScoreTable
from lorarack.adapters.comparison.verdict import AgainstBest, Answer, Verdict, VersionScore
from lorarack.registry.errors import UsageError

#: How often a version may be recommended that is worse than the best by more than the margin.
ERROR_RATE = 0.05
#: Five points: of a hundred rows, five more wrong.
DEFAULT_MARGIN = 0.05
#: One per cent of the best one's loss.
DEFAULT_LOSS_MARGIN = 0.01


def judge(
    table: ScoreTable,
    margin: float | None = None,
    costs: Mapping[str, float] | None = None,
    warnings: Sequence[str] = (),
) -> Verdict:
    """Which version to recommend, and what can be said of each.

    Args:
        table: the scores.
        margin: how much worse a version may be and still count as not worse; fixed before looking. Default: five points, or
            one per cent of a loss.
        costs: of every version; without them none counts as cheaper than another.
        warnings: what is to be said beside.

    Raises:
        UsageError: the margin is none, or there are fewer than two versions.
    """
    margin = checked_margin(margin, losses=table.losses)
    count = len(table.references)
    if count < 2:
        raise UsageError("A comparison needs two versions or more; name another.", code="nothing_to_compare")
    pairs = {(i, j): table.pair(i, j) for i in range(count) for j in range(count) if i != j}
    means = table.means() * (-1 if table.losses else 1)
    cost = [math.nan if costs is None else costs[reference] for reference in table.references]
    order = sorted(range(count), key=lambda i: (0.0 if costs is None else cost[i], -means[i], i))
    best = min(range(count), key=lambda i: (-means[i], order.index(i)))
    tested = adjusted_p_values(pairs, count, margin)
    against = [
        _against_best([pairs[i, j] for j in range(count) if j != i], margin, *tested[i], is_best=i == best)
        for i in range(count)
    ]
    versions = []
    for i, reference in enumerate(table.references):
        low, high = table.interval(i)
        known = None if costs is None else cost[i]
        score = float(table.scores[:, i].mean())
        versions.append(
            VersionScore(reference=reference, score=score, low=low, high=high, cost=known, against_best=against[i])
        )
    open_question = next((i for i in order if against[i].answer != "worse"), best)
    recommended = open_question if against[open_question].answer == "not_worse" else None
    needed = None
    if recommended is None:
        level = tested[open_question][1]
        unclear = [pairs[open_question, j] for j in range(count) if j != open_question]
        needed = rows_needed(unclear, margin, level, table.rows)
    return Verdict(
        margin=margin,
        best=table.references[best],
        recommended=None if recommended is None else table.references[recommended],
        answer=_answer(recommended, best, order, against),
        rows=table.rows,
        rows_needed=needed,
        versions=tuple(versions[i] for i in order),
        warnings=tuple(warnings),
        subject=table.references[open_question],
        losses=table.losses,
    )


def checked_margin(margin: float | None, *, losses: bool = False) -> float:
    """The margin, by default five points, or one per cent of a loss.

    Raises:
        UsageError: it is not between 0 and 1, both excluded, and so decides nothing or everything.
    """
    if margin is None:
        return DEFAULT_LOSS_MARGIN if losses else DEFAULT_MARGIN
    if not 0 < margin < 1:
        what = "a share of the best version's loss" if losses else "a difference of scores"
        raise UsageError(
            f"A margin of {margin:g} is no margin: it is {what}, above 0 and below 1; five points are 0.05.",
            code="bad_margin",
        )
    return margin


def adjusted_p_values(pairs: Mapping[tuple[int, int], Pair], count: int, margin: float) -> list[tuple[float, float]]:
    """Of "worse than the best by the margin or more", for each version: the p-value, and the level at which it was tested.

    A version's own p-value is the largest of those against each other one, whichever of them is truly the best. It is then
    adjusted for the number of versions, so that those at 0.05 or less are all right together in 95 % of comparisons.
    """
    alone = [max(pairs[i, j].p_value(-margin) for j in range(count) if j != i) for i in range(count)]
    found: dict[int, tuple[float, float]] = {}
    largest, stopped = 0.0, None
    for step, i in enumerate(sorted(range(count), key=lambda i: alone[i])):
        shared = min(count - 1, count - step)
        largest = max(largest, min(1.0, shared * alone[i]))
        if stopped is None and largest > ERROR_RATE:
            stopped = shared
        found[i] = largest, ERROR_RATE / (stopped or shared)
    return [found[i] for i in range(count)]


def difference(pair: Pair, margin: float) -> AgainstBest:
    """How the first of two versions stands against the second, whichever of them is better."""
    return _against_best([pair], margin, pair.p_value(-margin), ERROR_RATE, is_best=False)


def _against_best(pairs: Sequence[Pair], margin: float, p: float, level: float, *, is_best: bool) -> AgainstBest:
    """The difference to the best of the others; to itself for the best, and ``high`` then says how far it may be ahead."""
    difference = 0.0 if is_best else min(pair.estimate for pair in pairs)
    low = _least(pairs, level)
    high = _highest(pairs, ERROR_RATE / len(pairs))
    answer: Answer = "not_worse" if p <= ERROR_RATE else "worse" if high < -margin else "undecided"
    # The bounds come from the same test; the last digits of a search must not contradict it.
    low = max(low, float(np.nextafter(-margin, 1))) if answer == "not_worse" else min(low, -margin)
    return AgainstBest(difference=difference, low=min(low, difference), high=max(high, difference), p=p, answer=answer)


def _least(pairs: Sequence[Pair], level: float) -> float:
    """The least of the lower bounds; one is searched for only where it is below those found before."""
    found = math.inf
    for pair in sorted(pairs, key=lambda pair: pair.estimate):
        if found == math.inf or pair.p_value(found) > level:
            found = min(found, lower_bound(pair, level))
    return found


def _highest(pairs: Sequence[Pair], level: float) -> float:
    """The least of the upper bounds: no version is farther ahead of the best than of any other."""
    found = math.inf
    for pair in sorted(pairs, key=lambda pair: pair.estimate):
        if found == math.inf or pair.reversed().p_value(-found) < level:
            found = min(found, upper_bound(pair, level))
    return found


def _answer(recommended: int | None, best: int, order: Sequence[int], against: Sequence[AgainstBest]) -> Answer:
    if recommended is None:
        return "undecided"
    return "worse" if recommended == best and order[0] != best and against[order[0]].answer == "worse" else "not_worse"
