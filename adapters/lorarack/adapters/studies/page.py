"""The report as one HTML file that needs nothing beside it."""

from base64 import b64encode
from html import escape

from lorarack.adapters.comparison.words import sentence
from lorarack.adapters.studies.report import StudiedScore, StudyReport

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
        f"<table><tr>{head}</tr>{_lines(report)}</table>{''.join(map(_score, report.scores))}</html>\n"
    )


def _score(scored: StudiedScore) -> str:
    """One score of held-out rows: each version's mean with its interval, its time a token, and the verdict."""
    verdict = scored.verdict
    lines = []
    for version in verdict.versions:
        itl = f"{1000 * version.speed.itl.median:.1f}" if version.speed and version.speed.itl else "–"
        against = "best" if version.reference == verdict.best else version.against_best.answer.replace("_", " ")
        scale = f"{version.score:.4f} ({version.low:.4f} to {version.high:.4f})"
        cells = (version.reference, version.rank, scale, itl, against)
        lines.append("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in cells) + "</tr>")
    head = "".join(
        f"<th>{name}</th>" for name in ("version", "rank", "mean, 95 %", "ms a token, median", "against best")
    )
    base = scored.comparison.base
    beside = f" The base alone: {base.score:.4f} ({base.low:.4f} to {base.high:.4f})." if base else ""
    return (
        f"<h2>{escape(scored.score)} of {verdict.rows} held-out rows</h2><p>{escape(sentence(verdict))}{beside}</p>"
        f"<table><tr>{head}</tr>{''.join(lines)}</table>"
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
