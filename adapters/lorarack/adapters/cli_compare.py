"""``lorarack compare``."""

import os
import shlex
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lorarack.adapters.evaluation.scores import SCORE_NAMES
from lorarack.registry.cli.options import JsonOption, RegistryOption
from lorarack.registry.cli.output import emit, note, out
from lorarack.registry.errors import UsageError

if TYPE_CHECKING:
    from lorarack.adapters.comparison.verdict import Comparison


def mount(app: typer.Typer) -> None:
    """Add the command."""
    app.command("compare")(compare)


def compare(
    references: Annotated[
        list[str] | None,
        typer.Argument(metavar="REF REF…", help="Two versions or more of one base.", show_default=False),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Held-out rows, JSON Lines as for training.", show_default=False)
    ] = None,
    scores: Annotated[
        Path | None,
        typer.Option(
            help="Judge scores made elsewhere instead: JSON Lines of rows with their scores.", show_default=False
        ),
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(
            help="How much worse a version may be and still count as not worse. Default: 0.05, five points; of losses 0.01, 1 %.",
            show_default=False,
        ),
    ] = None,
    cost: Annotated[
        list[str] | None,
        typer.Option(
            metavar="REF=NUMBER", help="With --scores: what a version costs. Default: its number of parameters."
        ),
    ] = None,
    loss: Annotated[
        bool,
        typer.Option(
            "--loss", help="With --scores: they are losses, less is better; the margin is a share of the best."
        ),
    ] = False,
    group_by: Annotated[
        str | None,
        typer.Option(
            metavar="KEY", help="Rows with the same value of this key belong together. With --scores: 'group'."
        ),
    ] = None,
    gate: Annotated[
        bool, typer.Option("--gate", help="Exit with code 3 unless the cheaper version is shown to be not worse.")
    ] = False,
    include_base: Annotated[
        bool, typer.Option("--include-base", help="Evaluate the bare base on the same rows too.")
    ] = False,
    score: Annotated[
        str | None,
        typer.Option(
            help=f"{SCORE_NAMES}. Default: json_exact where the data is JSON, else exact_match.", show_default=False
        ),
    ] = None,
    judge_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Of --score judge:MODEL: any server that speaks OpenAI's API.", show_default=False
        ),
    ] = None,
    url: Annotated[
        str | None, typer.Option(envvar="LORARACK_URL", help="A running server. Default: one is started, then stopped.")
    ] = None,
    serve_args: Annotated[
        str, typer.Option("--serve-args", metavar="FLAGS", help="Flags for the server that is started, in quotes.")
    ] = "",
    concurrency: Annotated[int, typer.Option(min=1, max=1024, help="Requests under way at a time.")] = 64,
    max_tokens: Annotated[int, typer.Option(min=1, help="Where an answer is cut off.")] = 256,
    allow_seen: Annotated[
        bool,
        typer.Option("--allow-seen", help="Score rows that the versions were trained on; kept apart as split 'seen'."),
    ] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown instead of a table.")] = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the report as one self-contained HTML page.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Write score against cost as a picture.")
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Also say how many such adapters a server can hold in, for example, 2GiB."),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Keep answers and scores here; answers that exist are not requested again."
        ),
    ] = None,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Evaluate several versions on the same rows in one mixed batch, and recommend the cheapest that is not worse than the best.

    Not worse means: by less than the margin, with an error rate of 5 %. Where the rows are too few to tell, nothing is
    recommended, and the output has the number of rows that would decide. The scores become metrics of the versions. Rows that a
    version was trained on or chosen by are refused (exit code 3). A server's key is taken from LORARACK_TOKEN, a judge's from
    LORARACK_JUDGE_TOKEN.

    Example: lorarack compare support@r4 support@r16 --data heldout.jsonl --margin 0.05
    """
    _check_installed()
    from lorarack.adapters.comparison.margin_rule import checked_margin

    checked_margin(margin, losses=loss)
    from lorarack.adapters.comparison.slots import memory_bytes

    held = memory_bytes(memory) if memory is not None else None
    if scores is not None:
        if references or data is not None:
            raise UsageError("--scores judges the scores in its file; leave out references and --data.")
        from lorarack.adapters.comparison.offline import compare_scores

        found = compare_scores(
            scores, margin=margin, costs=cost or (), losses=loss, group_by=group_by or "group", registry=registry,
            memory=held,
        )  # fmt: skip
    else:
        if not references or data is None:
            raise UsageError("Name versions and their rows with --data, or give a file with --scores.")
        from lorarack.adapters.comparison.groups import row_groups
        from lorarack.adapters.data.load import load_rows
        from lorarack.adapters.evaluation.judge import JudgeServer
        from lorarack.adapters.evaluation.server import EvaluationServer
        from lorarack.adapters.operations import compare as conduct
        from lorarack.adapters.progress import ConsoleEvaluation
        from lorarack.registry.registry import open_registry

        if judge_url is not None and not (score or "").startswith("judge:"):
            raise UsageError("--judge-url is of --score judge:MODEL; name the model.", code="no_judge")
        judge = JudgeServer(judge_url, os.environ.get("LORARACK_JUDGE_TOKEN")) if judge_url is not None else None
        if cost or loss:
            raise UsageError("--cost and --loss are for scores made elsewhere; give them with --scores.")
        server = EvaluationServer(
            url, os.environ.get("LORARACK_TOKEN"), _flags(serve_args), concurrency=concurrency, max_tokens=max_tokens
        )
        rows = load_rows(data)
        groups = row_groups(data, rows, group_by) if group_by else None
        with open_registry(registry, create=False) as opened, ConsoleEvaluation() as progress:
            found = conduct(
                opened, references, rows, margin=margin, score=score, judge=judge, server=server, include_base=include_base,
                allow_seen=allow_seen, groups=groups, save=save, memory=held, progress=progress,
            )  # fmt: skip
    _write(found, html, plot)
    _print(found, markdown=markdown, json=json)
    if gate and found.verdict.answer != "not_worse":
        raise typer.Exit(3)


def _check_installed() -> None:
    missing = [name for name in ("numpy", "scipy") if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"Comparing needs the package {missing[0]!r}; install it with: pip install 'lorarack[compare]'.",
            code="not_installed",
        )


def _write(found: "Comparison", html: Path | None, plot: Path | None) -> None:
    """The files that were asked for."""
    from lorarack.adapters.comparison.report_file import write_report

    if html is not None:
        from lorarack.adapters.comparison.page import as_html

        write_report(html, as_html(found).encode("utf-8", "replace"))
        note(f"The page is {html}")
    if plot is not None:
        from lorarack.adapters.comparison.plot import as_png

        write_report(plot, as_png(found))
        note(f"The plot is {plot}")


def _print(found: "Comparison", *, markdown: bool, json: bool) -> None:
    from lorarack.adapters.comparison.report import as_markdown, as_table

    if markdown and not json:
        out.print(as_markdown(found), markup=False)
        return
    emit(found.to_json(), json, lambda: as_table(found))


def _flags(text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise UsageError(f"--serve-args {text!r} cannot be split into flags: {error}.", code="bad_flag") from error
