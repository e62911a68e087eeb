"""The validation loss over all ranks, and scores over those that were scored, as a picture."""

import io
from typing import Any

from lorarack.adapters.studies.report import StudiedScore, StudyReport

_MARKS = {"trained": "o", "truncated": ".", "recovered": "s", "warm": "^"}


def as_png(report: StudyReport) -> bytes:
    """A PNG: every rank that was measured, and the recommended one; a panel for each score."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = 1 + len(report.scores)
    figure = Figure(figsize=(7, 1 + 3 * panels), layout="constrained")
    _draw_losses(figure.add_subplot(panels, 1, 1), report)
    for place, scored in enumerate(report.scores, start=2):
        _draw_scores(figure.add_subplot(panels, 1, place), scored)
    made = io.BytesIO()
    canvas: Any = FigureCanvasAgg(figure)
    canvas.print_png(made)
    return made.getvalue()


def _draw_losses(axes: Any, report: StudyReport) -> None:
    looked = [line for line in report.ranks if line.source == "truncated"]
    if looked:
        axes.plot([line.rank for line in looked], [line.eval_loss for line in looked], color="0.75", zorder=1)
    for source, mark in _MARKS.items():
        lines = [line for line in report.ranks if line.source == source]
        if lines:
            axes.scatter([line.rank for line in lines], [line.eval_loss for line in lines], marker=mark, label=source)
    chosen = next(line for line in report.ranks if line.reference == report.recommended.reference)
    axes.scatter([chosen.rank], [chosen.eval_loss], s=160, facecolors="none", edgecolors="black", label="recommended")
    _rank_axis(axes, [line.rank for line in report.ranks if line.reference or line.rank.bit_count() == 1])
    axes.set_ylabel("validation loss")
    axes.legend(frameon=False)


def _draw_scores(axes: Any, scored: StudiedScore) -> None:
    """Each version's mean with its 95 % interval; the base's as a line."""
    versions = scored.verdict.versions
    ranks, means = [version.rank or 0 for version in versions], [version.score for version in versions]
    errors = [
        [max(version.score - version.low, 0) for version in versions],
        [max(version.high - version.score, 0) for version in versions],
    ]
    axes.errorbar(ranks, means, errors, fmt="o", capsize=4)
    if (base := scored.comparison.base) is not None:
        axes.axhline(base.score, color="0.6", linestyle=":", label="the base alone")
        axes.legend(frameon=False)
    _rank_axis(axes, ranks)
    axes.set_ylabel(f"{scored.score} of {scored.verdict.rows} rows".replace("$", r"\$"))


def _rank_axis(axes: Any, ranks: list[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks := sorted(set(ranks)), map(str, ticks))
    axes.set_xlabel("rank")
