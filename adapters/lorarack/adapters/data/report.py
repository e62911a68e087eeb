"""What the rows of a run are, counted: for people as sentences, for programs as JSON."""

from collections import Counter
from collections.abc import Sequence

from lorarack.adapters.data.overlap import near_rows
from lorarack.adapters.data.rows import Rows
from lorarack.registry.value import Value


class Lengths(Value):
    """Tokens of the rows of a split, prompt and answer together; ``learned`` are those with loss."""

    median: int
    p95: int
    longest: int
    total: int
    learned: int


class SplitReport(Value):
    """One split.

    Attributes:
        shape: the form that its rows were written in.
        records: what the source held; a conversation of several answers is one.
        rows: answers that are learned or measured.
        answers: all answers in it.
        learned: ``last`` or ``every`` answer of a conversation.
        repeated: rows that stand there more than once, after the first.
        conflicting: questions that have more than one answer.
        near_train: rows that are nearly the same as a training row; None for the training rows.
        dropped: rows left out since they are longer than ``max_length``.
        tokens: None before the rows were tokens.
    """

    split: str
    name: str
    digest: str
    shape: str
    records: int
    rows: int
    answers: int
    learned: str
    repeated: int
    conflicting: int
    near_train: int | None = None
    dropped: int = 0
    tokens: Lengths | None = None


def report_split(split: str, rows: Rows, train: Rows | None) -> tuple[SplitReport, tuple[str, ...]]:
    """The counts of a split, and what of them a user should know. ``train`` are the training rows, for the other splits."""
    counts = Counter((row.question, row.completion, row.answer) for row in rows)
    answers = Counter(question for question, _, _ in counts)
    near = near_rows(train, rows) if train is not None else None
    report = SplitReport(
        split=split,
        name=rows.name,
        digest=rows.digest,
        shape=rows.shape.name,
        records=rows.shape.records,
        rows=len(rows),
        answers=rows.shape.answers,
        learned=rows.shape.learned,
        repeated=len(rows) - len(counts),
        conflicting=sum(count > 1 for count in answers.values()),
        near_train=None if near is None else len(near),
    )
    notes = []
    if report.repeated:
        notes.append(
            f"{rows.name}: {report.repeated} of {len(rows)} {split} rows repeat an earlier one; each counts again."
        )
    if report.conflicting:
        notes.append(f"{rows.name}: {report.conflicting} questions of the {split} rows have more than one answer.")
    if near and train is not None:
        first = f"the first is row {near[0].place}, like row {near[0].train_place} of {train.name}"
        notes.append(
            f"{len(near)} of the {len(rows)} {split} rows are nearly the same as training rows ({first}); "
            "what is measured on them flatters the adapter."
        )
    return report, tuple(notes)


def lengths(totals: Sequence[int], learned: int) -> Lengths:
    """The lengths of a split from the tokens of each row; percentiles are of rows that are there (nearest rank)."""
    ordered = sorted(totals)
    at = [ordered[-(-len(ordered) * percent // 100) - 1] for percent in (50, 95)]
    return Lengths(median=at[0], p95=at[1], longest=ordered[-1], total=sum(ordered), learned=learned)
