"""A comparison for people: a table for the terminal, or Markdown."""

from collections.abc import Callable, Iterator

from rich.console import Group, RenderableType
from rich.markup import escape

from lorarack.adapters.comparison.verdict import BaseScore, Comparison, Verdict, VersionScore
from lorarack.adapters.comparison.words import difference_text, margin_text, score_text, sentence
from lorarack.registry.cli.render import size, table

_ANSWERS = {"not_worse": "not worse", "worse": "worse", "undecided": "undecided"}


def as_table(comparison: Comparison) -> RenderableType:
    """Everything in one table, and the verdict below it."""
    verdict = comparison.verdict
    columns = list(_columns(comparison))
    title = f"{comparison.title}: {verdict.rows} rows, margin {margin_text(verdict)}"
    shown = table(*(head for head, _ in columns), title=escape(title))
    shown.padding = (0, 1, 0, 0)
    shown.columns[0].min_width = 8
    for column in shown.columns[1:]:
        column.no_wrap = True  # where it is narrow, names give way, numbers never
    if comparison.base is not None:
        shown.add_row(*(escape(cell) for cell in _base_cells(comparison.base, comparison.verdict, len(columns))))
    for version in verdict.versions:
        chosen = version.reference == verdict.recommended
        shown.add_row(*(escape(cell(version)) for _, cell in columns), style="bold green" if chosen else None)
    warnings = [f"[yellow]{escape(warning)}[/yellow]" for warning in verdict.warnings]
    return Group(shown, f"[bold]{escape(sentence(verdict))}[/bold]", *warnings)


def as_markdown(comparison: Comparison) -> str:
    """The same as a Markdown table, for a report or a model card."""
    verdict, data = comparison.verdict, comparison.dataset
    heads, *lines = cells(comparison)
    sides = ["---:" if head.startswith(">") else "---" for head, _ in _columns(comparison)]
    table = "\n".join(map(_row, [heads, sides, *lines]))
    measured = f"{verdict.rows} rows of {comparison.title}" + (f" ({data.digest[:19]})" if data else "")
    margin = f"Margin {margin_text(verdict)}, {measured}."
    return "\n\n".join([table, sentence(verdict), *verdict.warnings, margin])


def cells(comparison: Comparison) -> list[list[str]]:
    """The texts of the table: the headings, the base where it was asked, and each version."""
    columns = list(_columns(comparison))
    heads = [head.removeprefix(">").replace("-\n", "").replace("\n", " ") for head, _ in columns]
    base = [] if comparison.base is None else [_base_cells(comparison.base, comparison.verdict, len(columns))]
    return [heads, *base, *([cell(version) for _, cell in columns] for version in comparison.verdict.versions)]


def _columns(comparison: Comparison) -> Iterator[tuple[str, Callable[[VersionScore], str]]]:
    """Heading and text of each column; those of which nothing is known are left out."""
    verdict, versions = comparison.verdict, comparison.verdict.versions
    yield "version", lambda version: version.reference
    if any(version.rank is not None for version in versions):
        yield ">rank", lambda version: _known(version.rank)
    yield f">{comparison.score}\n95 % CI", lambda version: score_text(version, verdict)
    yield ">against best\n95 % bounds", lambda version: difference_text(version, verdict)
    if any(version.validation_loss is not None for version in versions):
        yield ">eval\nloss", lambda version: _loss(version.validation_loss)
    if any(version.parameters is not None for version in versions):
        yield (
            ">param-\neters",
            lambda version: "–" if version.parameters is None else f"{version.parameters / 1e6:.2f} M",
        )
        yield ">size", lambda version: "–" if version.bytes is None else size(version.bytes)
    elif any(version.cost is not None for version in versions):
        yield ">cost", lambda version: "–" if version.cost is None else f"{version.cost:g}"
    yield (
        "",
        lambda version: "recommended" if version.reference == verdict.recommended else _standing(version, comparison),
    )


def _standing(version: VersionScore, comparison: Comparison) -> str:
    return "best" if version.reference == comparison.verdict.best else _ANSWERS[version.against_best.answer]


def _base_cells(base: BaseScore, verdict: Verdict, count: int) -> list[str]:
    fewer = f" ({base.rows} rows)" if base.rows < verdict.rows else ""
    score = score_text(base, verdict)
    cells = [base.model + fewer, *(["base"] if any(one.rank for one in verdict.versions) else []), score]
    return cells + ["–"] * (count - len(cells) - 1) + [""]


def _known(number: int | None) -> str:
    return "–" if number is None else str(number)


def _loss(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
