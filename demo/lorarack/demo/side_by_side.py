"""A few held-out prompts, asked of both ranks and the base in one mixed batch, side by side."""

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from lorarack.adapters.data.rows import Row, Rows
from lorarack.adapters.evaluation.answers import Answer, Evaluation
from lorarack.registry.cli.render import table

#: Of the held-out rows, spread over the file.
SHOWN = 4


def handful(rows: Rows, count: int = SHOWN) -> Rows:
    """``count`` rows of ``rows``, evenly spread."""
    step = max(1, len(rows) // count)
    return Rows(rows.name, rows.rows[::step][:count])


def side_by_side(evaluation: Evaluation, rows: Rows, titles: Sequence[str]) -> Table:
    """One block for each row: what was asked, what was expected, and every answer, marked right or wrong.

    Args:
        evaluation: of these very rows.
        rows: the rows.
        titles: what to call the evaluation's subjects, in their order.
    """
    lines = table("", "", "answer")
    for place, row in enumerate(rows):
        lines.add_row("", "[bold]guest[/bold]", f"[bold]{escape(_last_words(row))}[/bold]")
        lines.add_row("", "expected", escape(row.completion))
        for title, result in zip(titles, evaluation.results, strict=True):
            answer = result.answers[place]
            lines.add_row(_mark(answer), escape(title), escape(_short(answer)))
        lines.add_section()
    return lines


def _last_words(row: Row) -> str:
    return row.prompt if row.prompt is not None else row.messages[-1].text


def _mark(answer: Answer) -> str:
    return "[green]✓[/green]" if answer.score == 1 else "[red]✗[/red]"


def _short(answer: Answer, longest: int = 200) -> str:
    """On one line, cut where the model went on and on."""
    text = " ".join(answer.text.split())
    return f"{text[:longest]}…" if len(text) > longest or answer.cut_off else text
