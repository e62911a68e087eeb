"""A comparison for people (a table or Markdown) and for programs."""

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape

from lorarack.adapters.comparison.candidates import Candidate
from lorarack.adapters.comparison.verdict import Verdict
from lorarack.adapters.comparison.words import share
from lorarack.registry.cli.render import size, table
from lorarack.registry.values import Dataset, Value


class Comparison(Value):
    """All that a comparison found."""

    score: str
    dataset: Dataset
    candidates: tuple[Candidate, ...]
    verdict: Verdict

    def to_json(self) -> dict[str, Any]:
        """For programs: without the single scores, which an evaluation holds."""
        return self.model_dump(mode="json", exclude={"candidates": {"__all__": {"scores"}}})


_COLUMNS = ("version", ">rank", ">{score}\n95 % CI", ">eval\nloss", ">train\nloss", ">param-\neters", ">size", "")


def as_table(comparison: Comparison) -> RenderableType:
    """Everything in one table, and the verdict below it."""
    heads = [column.format(score=comparison.score) for column in _COLUMNS]
    rows = table(*heads, title=escape(f"{comparison.dataset.name}: {comparison.dataset.rows} rows"))
    rows.padding = (0, 1, 0, 0)
    rows.columns[0].min_width = 8
    for column in rows.columns[1:]:
        column.no_wrap = True  # where it is narrow, names give way, numbers never
    for line in comparison.candidates:
        kept = line.model == comparison.verdict.keep
        rows.add_row(*_cells(line), "[bold green]keep[/bold green]" if kept else "", style="bold" if kept else None)
    warnings = [f"[yellow]{escape(warning)}[/yellow]" for warning in comparison.verdict.warnings]
    return Group(rows, f"[bold]{escape(comparison.verdict.reason)}[/bold]", *warnings)


def as_markdown(comparison: Comparison) -> str:
    """The same as a Markdown table, for a report or a model card."""
    heads = [column.format(score=comparison.score) for column in _COLUMNS]
    kept = comparison.verdict.keep
    lines = [
        _row([head.removeprefix(">").replace("-\n", "").replace("\n", " ") for head in heads]),
        _row(["---:" if head.startswith(">") else "---" for head in heads]),
        *(_row([*_cells(line), "keep" if line.model == kept else ""]) for line in comparison.candidates),
    ]
    data = f"{comparison.dataset.rows} rows of {comparison.dataset.name} ({comparison.dataset.digest[:19]})"
    return "\n\n".join(
        ["\n".join(lines), comparison.verdict.reason, *comparison.verdict.warnings, f"Measured on {data}."]
    )


def _cells(line: Candidate) -> Sequence[str]:
    """One text for each column but the last."""
    if line.is_base:
        fewer = f" ({len(line.scores)} rows)" if line.stride > 1 else ""
        return (line.model + fewer, "base", share(line.score), "–", "–", "–", "–")
    return (
        line.model,
        str(line.rank),
        share(line.score),
        _loss(line.validation_loss),
        _loss(line.train_loss),
        f"{line.parameters / 1e6:.2f} M",
        size(line.bytes),
    )


def _loss(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
