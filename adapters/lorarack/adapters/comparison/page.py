"""A comparison as one HTML page that needs nothing else: no script, no font, no picture from elsewhere."""

from base64 import b64encode
from collections.abc import Iterator
from html import escape

from lorarack.adapters.comparison.plot import as_png
from lorarack.adapters.comparison.report import cells
from lorarack.adapters.comparison.text_diff import cut, diff_html
from lorarack.adapters.comparison.verdict import ComparedRow, Comparison
from lorarack.adapters.comparison.words import margin_text, sentence

#: Rows shown; the others are counted.
MOST_ROWS = 200

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1f2328; }
table { border-collapse: collapse; } th, td { padding: .3rem .8rem; border-bottom: 1px solid #d1d9e0; text-align: right; }
th:first-child, td:first-child { text-align: left; } tr.chosen { font-weight: 600; color: #1a7f37; }
.verdict { font-size: 1.15rem; font-weight: 600; } .warning { color: #9a6700; } img { max-width: 100%; }
details { border-bottom: 1px solid #d1d9e0; padding: .4rem 0; } summary { cursor: pointer; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #f6f8fa; padding: .5rem; margin: .2rem 0 .6rem; }
ins { background: #d2f4da; text-decoration: none; } del { background: #ffd7d5; }
"""


def as_html(comparison: Comparison) -> str:
    """The table, the verdict, the plot, and the rows on which the versions disagree.

    Raises:
        UsageError: matplotlib is not installed.
    """
    verdict = comparison.verdict
    title = f"{escape(comparison.title)}: {' against '.join(escape(one.reference) for one in verdict.versions)}"
    picture = b64encode(as_png(comparison)).decode()
    warnings = "".join(f'<p class="warning">{escape(warning)}</p>' for warning in verdict.warnings)
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<style>{_STYLE}</style></head><body>
<h1>{title}</h1>
<p>{verdict.rows} rows, margin {escape(margin_text(verdict))}.</p>
<p class="verdict">{escape(sentence(verdict))}</p>
{warnings}
{_table(comparison)}
<p><img alt="score against cost" src="data:image/png;base64,{picture}"></p>
{"".join(_rows(comparison))}
</body></html>
"""


def _table(comparison: Comparison) -> str:
    heads, *lines = cells(comparison)
    head = "".join(f"<th>{escape(cell)}</th>" for cell in heads)
    body = "".join(_line(line, chosen=line[0] == comparison.verdict.recommended) for line in lines)
    return f"<table><tr>{head}</tr>\n{body}</table>"


def _line(line: list[str], *, chosen: bool) -> str:
    mark = ' class="chosen"' if chosen else ""
    return f"<tr{mark}>{''.join(f'<td>{escape(cell)}</td>' for cell in line)}</tr>\n"


def _rows(comparison: Comparison) -> Iterator[str]:
    rows = comparison.disagreeing
    yield f"<h2>{len(rows)} of {comparison.verdict.rows} rows on which the versions disagree</h2>"
    if len(rows) > MOST_ROWS:
        yield f"<p>The first {MOST_ROWS} are shown.</p>"
    for row in rows[:MOST_ROWS]:
        yield from _row(row)


def _row(row: ComparedRow) -> Iterator[str]:
    scores = ", ".join(f"{reference} {score:.4g}" for reference, score in row.scores.items())
    yield f"<details><summary>{escape(row.name)}: {escape(scores)}</summary>"
    if row.prompt is not None:
        yield f"<p>Prompt</p><pre>{escape(cut(row.prompt))}</pre>"
    if row.expected is not None:
        yield f"<p>Expected</p><pre>{escape(cut(row.expected))}</pre>"
    for reference, answer in row.answers.items():
        shown = escape(cut(answer)) if row.expected is None else diff_html(row.expected, answer)
        yield f"<p>{escape(reference)}</p><pre>{shown}</pre>"
    yield "</details>\n"
