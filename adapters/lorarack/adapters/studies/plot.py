"""The validation loss over all ranks, as a picture."""

import io
from typing import Any

from lorarack.adapters.studies.report import StudyReport

_MARKS = {"trained": "o", "truncated": ".", "recovered": "s", "warm": "^"}


def as_png(report: StudyReport) -> bytes:
    """A PNG: every rank that was measured, and the recommended one."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes: Any = figure.add_subplot()
    looked = [line for line in report.ranks if line.source == "truncated"]
    if looked:
        axes.plot([line.rank for line in looked], [line.eval_loss for line in looked], color="0.75", zorder=1)
    for source, mark in _MARKS.items():
        lines = [line for line in report.ranks if line.source == source]
        if lines:
            axes.scatter([line.rank for line in lines], [line.eval_loss for line in lines], marker=mark, label=source)
    chosen = next(line for line in report.ranks if line.reference == report.recommended.reference)
    axes.scatter([chosen.rank], [chosen.eval_loss], s=160, facecolors="none", edgecolors="black", label="recommended")
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks := sorted({line.rank for line in report.ranks if line.reference}), map(str, ticks))
    axes.set_xlabel("rank")
    axes.set_ylabel("validation loss")
    axes.legend(frameon=False)
    made = io.BytesIO()
    canvas: Any = FigureCanvasAgg(figure)
    canvas.print_png(made)
    return made.getvalue()
