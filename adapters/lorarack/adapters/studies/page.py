"""The report as one HTML file that needs nothing beside it."""

from base64 import b64encode
from html import escape

from lorarack.adapters.studies.report import StudyReport

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse}td,th{padding:.2rem .8rem;border-bottom:1px solid #ddd;text-align:right}"
    "tr.chosen{font-weight:bold}img{max-width:100%}"
)
_COLUMNS = (
    "rank",
    "version",
    "source",
    "train loss",
    "eval loss",
    "gap",
    "fit",
    "best step",
    "parameters",
    "bytes",
    "seconds",
    "learning rate",
    "loss by seed",
)


def as_html(report: StudyReport, png: bytes) -> str:
    """Recommendation, picture and table."""
    title = f"Study {escape(report.study)}"
    chosen = report.recommended
    head = "".join(f"<th>{name}</th>" for name in _COLUMNS)
    picture = b64encode(png).decode()
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f"<h1>{title}</h1><p>Strategy {report.strategy}, margin {report.margin:g} of the loss. "
        f"The base alone has a validation loss of {report.base_loss:.4f}.</p>"
        f"<p><b>{escape(chosen.reference)} (rank {chosen.rank})</b>: {escape(chosen.reason)}.</p>"
        f"<p>Learning rate: {escape(report.learning_rates.reason)}. Seeds: {', '.join(map(str, report.seeds))}; the family of the "
        f"first one is published.</p>"
        f'<img alt="validation loss over rank" src="data:image/png;base64,{picture}">'
        f"<table><tr>{head}</tr>{_lines(report)}</table></html>\n"
    )


def _lines(report: StudyReport) -> str:
    lines = []
    for line in report.ranks:
        version = report.version(line.reference)
        cells = (
            line.rank, line.reference or "–", line.source, f"{line.train_loss:.4f}", f"{line.eval_loss:.4f}", f"{line.gap:+.4f}",
            line.fit, line.best_step, f"{version.parameters:,}" if version else "–", f"{version.bytes:,}" if version else "–",
            f"{line.seconds:g}", f"{line.learning_rate:.2g}",
            ", ".join("–" if loss is None else f"{loss:.4f}" for loss in line.seed_losses),
        )  # fmt: skip
        mark = ' class="chosen"' if line.reference == report.recommended.reference else ""
        lines.append(f"<tr{mark}>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in cells) + "</tr>")
    return "".join(lines)
