"""A comparison for people: a table for the terminal, or Markdown."""

from collections.abc import Callable, Iterator, Sequence

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from lorarack.adapters.comparison.verdict import BaseScore, Comparison, VersionScore
from lorarack.adapters.comparison.words import (
    difference_text,
    first_token_text,
    margin_text,
    next_token_text,
    score_text,
    sentence,
)
from lorarack.registry.cli.render import size, table

_ANSWERS = {"not_worse": "not worse", "worse": "worse", "undecided": "undecided"}


Column = tuple[str, Callable[[VersionScore], str], Callable[[BaseScore], str]]


def as_table(comparison: Comparison) -> RenderableType:
    """The scores in one table, what the versions take of a server in another, and the verdict below."""
    verdict = comparison.verdict
    title = f"{comparison.title}: {verdict.rows} rows, margin {margin_text(verdict)}"
    tables = [_table(comparison, [*_quality(comparison), _last(comparison)], title)]
    if serving := list(_serving(comparison)):
        tables.append(
            _table(comparison, [_name(comparison), *serving], "In one mixed batch" if verdict.versions[0].speed else "")
        )
    warnings = [f"[yellow]{escape(warning)}[/yellow]" for warning in verdict.warnings]
    return Group(*tables, f"[bold]{escape(sentence(verdict))}[/bold]", *warnings)


def as_markdown(comparison: Comparison) -> str:
    """The same as a Markdown table, for a report or a model card."""
    verdict, data = comparison.verdict, comparison.dataset
    heads, *lines = cells(comparison)
    sides = ["---:" if head.startswith(">") else "---" for head, *_ in _all(comparison)]
    table = "\n".join(map(_row, [heads, sides, *lines]))
    measured = f"{verdict.rows} rows of {comparison.title}" + (f" ({data.digest[:19]})" if data else "")
    margin = f"Margin {margin_text(verdict)}, {measured}."
    return "\n\n".join([table, sentence(verdict), *verdict.warnings, margin])


def cells(comparison: Comparison) -> list[list[str]]:
    """The texts of everything in one table: the headings, the base where it was asked, and each version."""
    columns = _all(comparison)
    heads = [head.removeprefix(">").replace("-\n", "").replace("\n", " ") for head, *_ in columns]
    return [heads, *_lines(comparison, columns)]


def _table(comparison: Comparison, columns: Sequence[Column], title: str) -> Table:
    shown = table(*(head for head, *_ in columns), title=escape(title) or None)
    shown.padding = (0, 1, 0, 0)
    shown.columns[0].min_width = 8
    for column in shown.columns[1:]:
        column.no_wrap = True  # where it is narrow, names give way, numbers never
    for line in _lines(comparison, columns):
        chosen = line[0] == comparison.verdict.recommended
        shown.add_row(*map(escape, line), style="bold green" if chosen else None)
    return shown


def _lines(comparison: Comparison, columns: Sequence[Column]) -> Iterator[list[str]]:
    if comparison.base is not None:
        yield [base(comparison.base) for _, _, base in columns]
    for version in comparison.verdict.versions:
        yield [cell(version) for _, cell, _ in columns]


def _all(comparison: Comparison) -> list[Column]:
    return [*_quality(comparison), *_serving(comparison), _last(comparison)]


def _quality(comparison: Comparison) -> Iterator[Column]:
    """Heading, and text of a version and of the base; columns of which nothing is known are left out."""
    verdict, versions = comparison.verdict, comparison.verdict.versions
    yield _name(comparison)
    if any(version.rank is not None for version in versions):
        yield ">rank", lambda version: _known(version.rank), lambda _: "base"
    yield (
        f">{comparison.score}\n95 % CI",
        lambda version: score_text(version, verdict),
        lambda base: score_text(base, verdict),
    )
    yield ">against best\n95 % bounds", lambda version: difference_text(version, verdict), _nothing
    if any(version.validation_loss is not None for version in versions):
        yield ">eval\nloss", lambda version: _loss(version.validation_loss), _nothing
    if any(version.parameters is not None for version in versions):
        yield ">param-\neters", lambda version: _millions(version.parameters), _nothing
        yield ">size", lambda version: _size(version.bytes), _nothing
    elif any(version.cost is not None for version in versions):
        yield ">cost", lambda version: "–" if version.cost is None else f"{version.cost:g}", _nothing


def _serving(comparison: Comparison) -> Iterator[Column]:
    """What a server gives for each version: a slot of its memory, and time."""
    if comparison.memory is not None:
        yield ">slot", lambda version: _size(version.slot), _nothing
        yield f">fit in {size(comparison.memory)}", lambda version: _known(version.fits), _nothing
    if any(version.speed is not None for version in comparison.verdict.versions):
        yield (
            ">TTFT ms,\nmedian (p95)",
            lambda version: first_token_text(version.speed),
            lambda base: first_token_text(base.speed),
        )
        yield (
            ">ITL ms,\nmedian (p95)",
            lambda version: next_token_text(version.speed),
            lambda base: next_token_text(base.speed),
        )


def _name(comparison: Comparison) -> Column:
    rows = comparison.verdict.rows
    return (
        "version",
        lambda version: version.reference,
        lambda base: base.model + (f" ({base.rows} rows)" if base.rows < rows else ""),
    )


def _last(comparison: Comparison) -> Column:
    recommended = comparison.verdict.recommended
    return (
        "",
        lambda version: "recommended" if version.reference == recommended else _standing(version, comparison),
        lambda _: "",
    )


def _standing(version: VersionScore, comparison: Comparison) -> str:
    return "best" if version.reference == comparison.verdict.best else _ANSWERS[version.against_best.answer]


def _known(number: int | None) -> str:
    return "–" if number is None else str(number)


def _nothing(_: BaseScore) -> str:
    return "–"


def _millions(count: int | None) -> str:
    return "–" if count is None else f"{count / 1e6:.2f} M"


def _size(count: int | None) -> str:
    return "–" if count is None else size(count)


def _loss(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
