"""Rows that a version has seen in training: its score on them says nothing about new ones."""

from collections.abc import Iterator, Sequence

from lorarack.adapters.data import Rows, split_rows
from lorarack.adapters.data.row_digests import LIMIT, rows_among
from lorarack.registry.errors import GateRefused, NotFound, UsageError
from lorarack.registry.interface import Registry
from lorarack.registry.value import Value
from lorarack.registry.values import Dataset, Provenance, Version

#: The split under which scores on such rows are kept, apart from those on unseen rows.
SEEN_SPLIT = "seen"

#: What each split is to the version: these rows shaped it.
_VERBS = {"train": "was trained on", "validation": "was chosen by"}


class SeenRows(Value):
    """How many rows a version, or one that it was made from, has seen in one of its data sets."""

    model: str
    rows: int
    sentence: str


def seen_rows(registry: Registry, versions: Sequence[Version], rows: Rows) -> tuple[SeenRows, ...]:
    """The ``rows`` that each version was trained on, by its provenance; versions that saw none are left out."""
    found = []
    for version in versions:
        overlaps = [
            _overlap(owner, split, rows) for owner in _line(registry, version, set()) for split in _splits(owner)
        ]
        best = max((overlap for overlap in overlaps if overlap), key=lambda overlap: overlap[0], default=None)
        if best:
            found.append(SeenRows(model=version.reference, rows=best[0], sentence=best[1]))
    return tuple(found)


def check_unseen(registry: Registry, versions: Sequence[Version], rows: Rows, *, allow: bool) -> tuple[SeenRows, ...]:
    """Refuse to score rows that versions were trained on or chosen by.

    Args:
        registry: where the versions are.
        versions: those to compare.
        rows: those to ask.
        allow: do not refuse; return what was seen, so that the scores are kept apart.

    Raises:
        GateRefused: rows were seen and ``allow`` is not set, or some versions have seen them and others have not.
    """
    seen = seen_rows(registry, versions, rows)
    if not seen:
        return ()
    said = "; ".join(one.sentence for one in seen)
    if not allow:
        raise GateRefused(
            f"{said}. Scores on them would flatter: give rows that were not seen, or --allow-seen, which keeps the scores "
            f"apart as split {SEEN_SPLIT!r}.",
            code="seen_rows",
        )
    models = {one.model for one in seen}
    clean = [version.reference for version in versions if version.reference not in models]
    if clean:
        raise GateRefused(
            f"{said}; {', '.join(clean)} has not, so they cannot be ranked on these rows. Compare versions that have all "
            "seen them, or give rows that none has.",
            code="seen_rows",
        )
    return seen


def _line(registry: Registry, version: Version, met: set[str]) -> Iterator[Version]:
    """The version and those that it was made from, each once."""
    if version.reference in met:
        return
    met.add(version.reference)
    yield version
    for parent in version.parents:
        try:
            older = registry.resolve(parent.version)
        except NotFound:  # deleted since
            continue
        yield from _line(registry, older, met)


def _splits(version: Version) -> tuple[Dataset, ...]:
    datasets = version.provenance.datasets if version.provenance else ()
    return tuple(dataset for dataset in datasets if dataset.split in _VERBS)


def _overlap(version: Version, split: Dataset, rows: Rows) -> tuple[int, str] | None:
    same = rows.digest == split.digest or _part_of(version.provenance, split, rows)
    among = rows.rows if same else rows_among(rows, split.row_digests or "")
    if not among:
        return None
    first = rows.where(among[0]).partition(", ")[2]
    sampled = " or more" if not same and split.rows > LIMIT else ""
    return len(among), (
        f"{version.reference} {_VERBS[split.split]} {len(among)}{sampled} of the {len(rows)} rows in {rows.name} "
        f"(its {split.split} set {split.name}; the first is {first})"
    )


def _part_of(provenance: Provenance | None, split: Dataset, rows: Rows) -> bool:
    """Whether ``split`` is the part of ``rows`` that training left itself: versions of 0.1.0 kept no digests of rows."""
    data = provenance.recipe.get("data") if provenance and not split.row_digests else None
    fraction = data.get("validation_fraction") if isinstance(data, dict) else None
    if not isinstance(fraction, float) or provenance is None or provenance.seed is None:
        return False
    try:
        parts = split_rows(rows, fraction, provenance.seed)
    except UsageError:  # too few rows to part
        return False
    return split.digest in {part.digest for part in parts}
