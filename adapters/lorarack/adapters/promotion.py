"""Whether a version may take another's place: by the evaluations that are kept of both, and the statistics of a comparison."""

from collections.abc import Sequence

import numpy as np

from lorarack.adapters.comparison.margin_rule import ERROR_RATE, checked_margin, difference
from lorarack.adapters.comparison.rows_needed import rows_needed
from lorarack.adapters.comparison.score_table import ScoreTable
from lorarack.adapters.comparison.seen import SEEN_SPLIT
from lorarack.adapters.evaluation.kept import KeptEvaluation, kept_evaluations
from lorarack.registry import Judgement, Registry, Version
from lorarack.registry.errors import UsageError
from lorarack.registry.metrics import is_dataset, short_dataset
from lorarack.registry.queries import parse_label


def not_worse_than(
    registry: Registry,
    reference: str,
    than: str,
    *,
    alias: str | None = None,
    margin: float | None = None,
    metric: str | None = None,
    dataset: str | None = None,
) -> Judgement:
    """Whether a version is shown to be not worse than another by the margin, on rows that both have answered.

    Give the judgement to ``Registry.promote`` as its rule. ``lorarack promote REF ALIAS --not-worse-than …`` does both.

    Args:
        registry: where the versions and their evaluations are.
        reference: the version that is to be promoted.
        than: an alias of the same adapter (``prod``), or a whole reference (``support@3``).
        alias: the alias that is to be moved. Where it is ``than`` itself and names nothing yet, it is enough that the version
            was evaluated; and a move of it after the judgement is a conflict.
        margin: as in ``compare``; by default five points, or one per cent of a loss.
        metric: ``test/json_exact``, where both versions have several evaluations in common.
        dataset: the digest of the rows or its beginning, likewise.

    Raises:
        NotFound: no such version or alias.
        BadReference: a reference is malformed.
        UsageError: the margin or the metric is none, or several evaluations would do.
        StoreError: a kept evaluation cannot be read.
    """
    checked_margin(margin)
    label = parse_label(metric) if metric is not None else None
    candidate = registry.resolve(reference)
    mine = _fitting(kept_evaluations(registry, candidate), label, dataset)
    other = _other(registry, candidate, than, may_lack=than == alias)
    what = " ".join(part for part in (f" by {metric}" if metric else "", f"on {dataset}" if dataset else "") if part)
    if other is None:
        said = f"{candidate.reference} {'was' if mine else 'was never'} evaluated{what}, and nothing stood there before"
        return Judgement(holds=bool(mine), sentence=said, present=0)
    present = other.number if than == alias else None
    if other.digest == candidate.digest:
        return Judgement(holds=True, sentence=f"{candidate.reference} is {other.reference} itself", present=present)
    theirs = {_key(kept): kept for kept in kept_evaluations(registry, other)}
    common = [(kept, theirs[_key(kept)]) for kept in mine if _key(kept) in theirs]
    if not common:
        return Judgement(
            holds=False,
            sentence=(
                f"{candidate.reference} and {other.reference} have answered no rows in common{what}; evaluate both with: "
                f"lorarack compare {candidate.reference} {other.reference} --data ROWS"
            ),
            present=present,
        )
    if len(common) > 1:
        choices = "; ".join(f"{kept.label} on {short_dataset(kept.dataset.digest)}" for kept, _ in common)
        raise UsageError(
            f"{candidate.reference} and {other.reference} have {len(common)} evaluations in common ({choices}); choose one "
            "with --require METRIC and --dataset DIGEST.",
            code="several_evaluations",
        )
    return _judged(*common[0], candidate, other, margin, present)


def _judged(
    mine: KeptEvaluation,
    theirs: KeptEvaluation,
    candidate: Version,
    other: Version,
    margin: float | None,
    present: int | None,
) -> Judgement:
    losses = not mine.higher_is_better
    margin = checked_margin(margin, losses=losses)
    scores = np.array([[one.score for one in kept.answers] for kept in (mine, theirs)], dtype=np.float64).T
    table = ScoreTable((candidate.reference, other.reference), scores, mine.groups_or(theirs), losses)
    pair = table.pair(0, 1)
    found = difference(pair, margin)
    size = f"{100 * margin:.4g} {'% of the loss' if losses else 'points'}"
    needed = ""
    if found.answer == "undecided":
        needed = f"; about {rows_needed([pair], margin, ERROR_RATE, table.rows):,} rows would decide"
        said = f"it is not shown that {candidate.reference} is not worse than {other.reference} by {size}"
    else:
        how = "not worse" if found.answer == "not_worse" else "worse"
        more = "more than " if how == "worse" else ""
        said = f"{candidate.reference} is {how} than {other.reference} by {more}{size}"
    unit = " %" if losses else " points"
    bounds = f"95 % bounds {100 * found.low:+.1f} to {100 * found.high:+.1f}"
    figures = f"{100 * found.difference:+.1f}{unit}, {bounds}, p = {found.p:.2g}"
    rows = f"{mine.label} on {table.rows} rows of {mine.dataset.name}, {short_dataset(mine.dataset.digest)}"
    return Judgement(holds=found.answer == "not_worse", sentence=f"{said} ({figures}; {rows}){needed}", present=present)


def _other(registry: Registry, candidate: Version, than: str, *, may_lack: bool) -> Version | None:
    """The version that ``than`` names; None for an alias that names nothing yet, where it ``may_lack``."""
    if "@" in than:
        return registry.resolve(than)
    if may_lack and than not in {found.name for found in registry.aliases(candidate.adapter)}:
        return None
    return registry.resolve(f"{candidate.adapter}@{than}")


def _fitting(
    kept: Sequence[KeptEvaluation], label: tuple[str, str] | None, dataset: str | None
) -> list[KeptEvaluation]:
    """Those on new rows, with the metric and the data set that were asked for."""
    return [
        one
        for one in kept
        if one.dataset.split != SEEN_SPLIT
        and label in (None, (one.score, one.dataset.split))
        and (dataset is None or is_dataset(one.dataset.digest, dataset))
    ]


def _key(kept: KeptEvaluation) -> tuple[str, str, int]:
    """Two evaluations with the same are of the same rows by the same score."""
    return kept.dataset.digest, kept.label, len(kept.answers)
