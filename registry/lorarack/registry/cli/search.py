"""``lorarack search`` and ``lorarack best``."""

from typing import Annotated

import typer
from rich.console import RenderableType
from rich.markup import escape

from lorarack.registry.cli.options import JsonOption, RegistryOption
from lorarack.registry.cli.output import emit, note
from lorarack.registry.cli.parsing import parse_moment, parse_ranks
from lorarack.registry.cli.versions import number, versions_table
from lorarack.registry.metrics import dataset_name
from lorarack.registry.queries import Best, Page, Query, parse_condition
from lorarack.registry.registry import open_registry
from lorarack.registry.values import State

_DatasetOption = Annotated[
    str | None,
    typer.Option(metavar="DIGEST", help="Rank by the metric on this data set: the beginning of its digest, or none."),
]


def mount(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("search")(search)
    app.command("best")(best)


def search(
    base: Annotated[str | None, typer.Option(help="Versions for this base model.")] = None,
    adapter: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of this adapter; of several with * at the end: 'acme/*'.")
    ] = None,
    rank: Annotated[str | None, typer.Option(metavar="RANGE", help="For example 16, 8..64, 8.. or ..64")] = None,
    metric: Annotated[
        list[str] | None, typer.Option(metavar="CONDITION", help="For example 'eval_loss<0.5' or 'test/exact>=0.9'.")
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(metavar="KEY[=VALUE]", help="With this tag.")] = None,
    state: Annotated[State | None, typer.Option(help="In this state. Default: in any.")] = None,
    text: Annotated[str | None, typer.Option(help="In the adapter's name, the description or a tag's value.")] = None,
    since: Annotated[str | None, typer.Option(metavar="WHEN", help="Published since: 2026-11-25 or 7d.")] = None,
    until: Annotated[str | None, typer.Option(metavar="WHEN", help="Published before: 2026-11-25 or 7d.")] = None,
    sort: Annotated[str, typer.Option(metavar="ORDER", help="newest, oldest, or a metric: best first.")] = "newest",
    dataset: _DatasetOption = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Maximum results.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="Continue after a page: its 'next' value.")] = None,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Find versions; every option that is given must hold. JSON has versions and next, the cursor of the next page.

    Example: lorarack search --base smollm2 --rank 8..64 --metric 'eval_loss<0.5' --sort eval_loss
    """
    rank_min, rank_max = parse_ranks(rank) if rank is not None else (None, None)
    query = Query(
        base=base,
        adapter=adapter,
        rank_min=rank_min,
        rank_max=rank_max,
        metrics=tuple(parse_condition(condition) for condition in metric or ()),
        tags=tuple(tag or ()),
        state=state,
        text=text,
        since=parse_moment(since) if since is not None else None,
        until=parse_moment(until) if until is not None else None,
        order=sort,
        dataset=dataset,
        limit=limit,
        cursor=cursor,
    )
    with open_registry(registry, create=False) as opened:
        page = opened.search(query)
    emit(page, json, lambda: _show(page))
    if page.next and not json:
        note(f"There are more: add --cursor '{page.next}'")


def best(
    name: Annotated[str, typer.Argument(help="The adapter's name.")],
    metric: Annotated[str, typer.Option(help="For example eval_loss or test/exact.")],
    dataset: _DatasetOption = None,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Say which ready version is the best by a metric on one data set; of equals the smaller rank.

    Example: lorarack best support --metric eval_loss
    """
    with open_registry(registry, create=False) as opened:
        found = opened.best(name, metric, dataset=dataset)
    version = found.version
    record = version.to_json() | {"metric": found.metric.label, "value": found.metric.value}
    record |= {
        "dataset": found.dataset,
        "unnamed": found.unnamed,
        "lacking": found.lacking,
        "left_out": list(found.left_out),
    }
    emit(record, json, lambda: _sentence(found))
    if found.unnamed:
        noun = "version does" if found.unnamed == 1 else "versions do"
        note(f"{found.unnamed} ranked {noun} not say on which data.")
    if found.left_out:
        note(f"Left out, since they have it on other data only: {', '.join(found.left_out)}.")
    if found.lacking:
        noun = "version does" if found.lacking == 1 else "versions do"
        note(f"{found.lacking} ready {noun} not have it.")


def _show(page: Page) -> RenderableType:
    if not page.versions:
        return "Nothing found."
    return versions_table(page.versions)


def _sentence(found: Best) -> str:
    version, metric = found.version, found.metric
    on = f" on {escape(dataset_name(found.dataset))}" if found.dataset else ""
    value = f"{escape(metric.label)} {number(metric)}{on}"
    return f"[bold]{version.reference}[/bold] (rank {version.rank}) has {value}"
