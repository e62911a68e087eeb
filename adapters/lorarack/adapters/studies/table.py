"""A study in a terminal: a table, and the validation loss over all ranks as bars."""

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from lorarack.adapters.comparison.report import as_table as scores_table
from lorarack.adapters.studies.report import StudiedRank, StudyReport
from lorarack.registry.cli.render import size, table
from lorarack.registry.cli.versions import bar


def as_table(report: StudyReport) -> RenderableType:
    """Everything for people."""
    chosen = report.recommended
    lines = [
        Text.from_markup(f"\nrecommended: [bold]{chosen.reference}[/bold] (rank {chosen.rank})"),
        Text(f"{chosen.reason}."),
        Text(f"learning rate: {report.learning_rates.reason}."),
        Text(f"figures, curves and weights: {report.folder}", style="dim"),
    ]
    scored = [scores_table(score.comparison) for score in report.scores]
    return Group(_rows(report), *lines, *scored)


def _rows(report: StudyReport) -> Table:
    several = len(report.seeds) > 1
    rows = table(
        ">rank", "version", "source", ">train loss", ">eval loss", "", ">gap", "fit", ">parameters", ">size", ">seconds",
        *([f">mean of {len(report.seeds)} seeds", "95 %"] if several else []),
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
            *(_over_seeds(line) if several else ()),
        )
    return rows


def _over_seeds(line: StudiedRank) -> tuple[str, str]:
    if (found := line.over_seeds) is None:
        return "-", "not by every seed"
    return f"{found.mean:.4f}", f"{found.low:.4f} to {found.high:.4f}"
