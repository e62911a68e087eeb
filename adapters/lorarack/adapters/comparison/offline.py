"""A verdict on scores that were made elsewhere: no server, no torch, and no registry is needed."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from lorarack.adapters.comparison.costs import UNKNOWN, given_costs, known_versions
from lorarack.adapters.comparison.margin_rule import checked_margin, judge
from lorarack.adapters.comparison.scores_file import ScoresFile, read_scores
from lorarack.adapters.comparison.verdict import ComparedRow, Comparison
from lorarack.adapters.comparison.version_facts import with_facts
from lorarack.registry.values import Base, Version


def compare_scores(
    path: Path,
    *,
    margin: float | None = None,
    costs: Sequence[str] = (),
    losses: bool = False,
    group_by: str = "group",
    registry: str | None = None,
    memory: int | None = None,
) -> Comparison:
    """Judge the scores in a file.

    Args:
        path: JSON Lines, each ``{"row": …, "scores": {"a@1": 1, "a@2": 0}}``.
        margin: how much worse a version may be and still count as not worse.
        costs: ``a@1=4`` for each version; without them the number of parameters, where the registry knows all versions.
        losses: the scores are losses, less is better, and the margin is a share of the best one's.
        group_by: the key of a line that says which rows belong together.
        registry: its folder; by default the usual one, if it is there.
        memory: bytes in which the engine's slots of the versions are to fit.

    Raises:
        UsageError: the margin is none, a line is wrong, there is nothing to compare, or the costs are not of these versions.
        NotFound: no such file, or no registry in the folder given.
    """
    margin = checked_margin(margin, losses=losses)
    file = read_scores(path, losses=losses, group_by=group_by)
    references = file.table.references
    versions: dict[str, Version] = {}
    base: Base | None = None
    known: dict[str, float] | None
    if costs:
        known = given_costs(costs, references)
    else:
        versions, base = known_versions(registry, references)
        known = {reference: float(version.parameters) for reference, version in versions.items()} or None
    unknown = () if known else (UNKNOWN.format(f"{references[0]}=4"),)
    verdict = judge(file.table, margin, known, (*file.warnings, *unknown))
    return Comparison(
        verdict=with_facts(verdict, versions, base=base, memory=memory),
        memory=memory,
        title=path.name,
        score="mean loss" if losses else "mean score",
        disagreeing=tuple(_disagreeing(file)),
    )


def _disagreeing(file: ScoresFile) -> Iterator[ComparedRow]:
    table = file.table
    for place in np.flatnonzero(np.ptp(table.scores, axis=1)):
        scores = dict(zip(table.references, table.scores[place].tolist(), strict=True))
        yield ComparedRow(name=f"row {file.rows[place]}", scores=scores)
