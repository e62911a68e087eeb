"""Splitting rows, and refusing splits that share rows."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from lorarack.adapters.data.rows import Row, Rows
from lorarack.registry.errors import UsageError


def split_rows(rows: Rows, fraction: float, seed: int) -> tuple[Rows, Rows]:
    """Set aside about ``fraction`` of the rows, the same ones for the same seed.

    Rows with the same question stay together, so that the two parts share none; rows of one conversation do as well.

    Returns:
        What is left, and what was set aside; both in the order of the file.

    Raises:
        UsageError: there are not two different questions to part.
    """
    together = _opening if rows.shape.learned == "every" else _question
    questions = sorted({together(row) for row in rows})
    if len(questions) < 2:
        raise UsageError(
            f"{rows.name} has too few different rows to set some aside for validation; add rows or name a validation file.",
            code="too_few_rows",
        )
    Random(seed).shuffle(questions)  # noqa: S311  (not for secrets)
    count = min(max(1, round(fraction * len(questions))), len(questions) - 1)
    aside = set(questions[:count])
    kept: list[Row] = []
    taken: list[Row] = []
    for row in rows:
        (taken if together(row) in aside else kept).append(row)
    return replace(rows, rows=tuple(kept)), replace(rows, name=f"{rows.name} (part)", rows=tuple(taken))


def _question(row: Row) -> str:
    return row.question


def _opening(row: Row) -> str:
    return row.opening


def check_leaks(train: Rows, others: Sequence[tuple[str, Rows]]) -> None:
    """Refuse splits whose questions are also in ``train``: numbers measured on them would flatter the adapter.

    Raises:
        UsageError: says how many rows of which split, and the first one's place.
    """
    seen = {row.question for row in train}
    for split, rows in others:
        shared = [place for place, row in enumerate(rows, start=1) if row.question in seen]
        if shared:
            raise UsageError(
                f"{len(shared)} of the {len(rows)} {split} rows in {rows.name} are also in {train.name} "
                f"(the first is row {shared[0]}); remove them from one of the two.",
                code="leak",
            )
