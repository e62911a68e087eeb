"""A study in a terminal: a table, and the validation loss over all ranks as bars."""

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from lorarack.adapters.studies.report import StudyReport
from lorarack.registry.cli.render import size, table
from lorarack.registry.cli.versions import bar


def as_table(report: StudyReport) -> RenderableType:
    """Everything for people."""
    chosen = report.recommended
    lines = [
        Text.from_markup(f"\nrecommended: [bold]{chosen.reference}[/bold] (rank {chosen.rank})"),
        Text(f"{chosen.reason}."),
        Text(f"figures, curves and weights: {report.folder}", style="dim"),
    ]
    return Group(_rows(report), *lines)


def _rows(report: StudyReport) -> Table:
    rows = table(
        ">rank", "version", "source", ">train loss", ">eval loss", "", ">gap", "fit", ">parameters", ">size", ">seconds",
        title=f"study {escape(report.study)} ({report.strategy}); the base alone: {report.base_loss:.4f}",
    )  # fmt: skip
    losses = [line.eval_loss for line in report.ranks]
    for line in report.ranks:
        version = report.version(line.reference)
        mark = "[bold]*[/bold]" if line.reference == report.recommended.reference else ""
        rows.add_row(
            f"{line.rank}{mark}",
            line.reference or "-",
            line.source,
            f"{line.train_loss:.4f}",
            f"{line.eval_loss:.4f}",
            bar(line.eval_loss, losses),
            f"{line.gap:+.4f}",
            line.fit,
            f"{version.parameters:,}" if version else "-",
            size(version.bytes) if version else "-",
            f"{line.seconds:.0f}",
        )
    return rows
