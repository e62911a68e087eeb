"""``lorarack experiment start``, ``list``, ``status``, ``answers``, ``adjust``, ``stop`` and ``promote``."""

import math
from typing import Annotated

import typer

from lorarack.registry.cli.experiment_page import answers_side_by_side, forecast, listing, page, split
from lorarack.registry.cli.options import JsonOption, RegistryOption
from lorarack.registry.cli.output import emit, note, out
from lorarack.registry.cli.parsing import split_alias
from lorarack.registry.errors import UsageError
from lorarack.registry.registry import open_registry

AliasArgument = Annotated[str, typer.Argument(metavar="NAME@ALIAS", help="For example support@prod.")]
ArmOption = Annotated[
    list[str],
    typer.Option(
        "--arm", metavar="VERSION=PERCENT", help="A version and its share of the callers; again for each arm."
    ),
]
ReasonOption = Annotated[str | None, typer.Option(help="Why; kept in the history.")]


def mount(app: typer.Typer) -> None:
    """Add the ``experiment`` group."""
    group = typer.Typer(no_args_is_help=True, help="Live experiments: versions side by side behind one alias.")
    group.command("start")(start)
    group.command("list")(list_)
    group.command("status")(status)
    group.command("answers")(answers)
    group.command("adjust")(adjust)
    group.command("stop")(stop)
    group.command("promote")(promote)
    app.add_typer(group, name="experiment")


def start(
    alias: AliasArgument,
    arm: ArmOption,
    metric: Annotated[
        str, typer.Option(help="What feedback comes under: thumbs is 0 or 1, any other name is graded from 0 to 1.")
    ] = "thumbs",
    margin: Annotated[
        float, typer.Option(help="How much worse, in the metric's mean, still counts as not worse.")
    ] = 0.05,
    guard: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RULE", help="Stops an arm that breaks it: error_rate<0.02, ttft_p95<2s or ttft_p95<1.2x."
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(help="Scored requests after which nothing is decided. Default: five times what it should take."),
    ] = None,
    shadow: Annotated[
        bool,
        typer.Option(
            "--shadow/--no-shadow",
            help="Where a server has room, another arm answers each request too, for the record: verdicts take fewer requests.",
        ),
    ] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only estimate the number of requests.")] = False,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Split the callers of an alias between versions until feedback shows which is as good. Margin and metric are fixed here.

    One of the arms is the version that the alias names: the others are compared with it.

    Example: lorarack experiment start support@prod --arm 3=90 --arm 5=10 --guard 'error_rate<0.02'
    """
    adapter, name = split_alias(alias)
    with open_registry(registry, create=False) as opened:
        experiments = opened.experiments
        planned = experiments.plan(
            adapter,
            name,
            [_split_arm(text) for text in arm],
            metric=metric,
            margin=margin,
            guards=guard or (),
            limit=limit,
            shadow=shadow,
        )
        note(forecast(planned))
        if dry_run:
            emit({"requests_needed": planned.plan.needed, "limit": planned.plan.limit}, json, lambda: None)
            return
        begun = experiments.start(planned)
    emit(begun, json, lambda: f"[bold]{begun.named}[/bold] is split between {split(begun)}")


def list_(
    name: Annotated[str | None, typer.Argument(help="An adapter; without it, all.")] = None,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """List experiments, the newest first.

    Example: lorarack experiment list support
    """
    with open_registry(registry, create=False) as opened:
        found = opened.experiments.list(name)
    if not found and not json:
        out.print("No experiments yet.")
        return
    emit(found, json, lambda: listing(found))


def status(alias: AliasArgument, registry: RegistryOption = None, json: JsonOption = False) -> None:
    """Show an experiment's state: its arms, and the interval of their difference over time.

    Example: lorarack experiment status support@prod
    """
    adapter, name = split_alias(alias)
    with open_registry(registry, create=False) as opened:
        found = opened.experiments.status(adapter, name)
    emit(found, json, lambda: page(found))


def answers(
    alias: AliasArgument,
    limit: Annotated[int, typer.Option(help="How many requests, the newest first.")] = 20,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Show requests to which two arms gave different answers: the one that was returned, and the one that was not.

    Example: lorarack experiment answers support@prod --limit 5
    """
    adapter, name = split_alias(alias)
    with open_registry(registry, create=False) as opened:
        found = opened.experiments.differing(adapter, name, limit)
    if not found and not json:
        out.print("No answers that differ yet.")
        return
    emit(found, json, lambda: answers_side_by_side(found))


def adjust(alias: AliasArgument, arm: ArmOption, registry: RegistryOption = None, json: JsonOption = False) -> None:
    """Change the weights of the arms. Callers only move into an arm that grows.

    Example: lorarack experiment adjust support@prod --arm 3=50 --arm 5=50
    """
    adapter, name = split_alias(alias)
    with open_registry(registry, create=False) as opened:
        adjusted = opened.experiments.adjust(adapter, name, [_split_arm(text) for text in arm])
    emit(adjusted, json, lambda: f"[bold]{adjusted.named}[/bold] is split between {split(adjusted)}")


def stop(
    alias: AliasArgument, reason: ReasonOption = None, registry: RegistryOption = None, json: JsonOption = False
) -> None:
    """End an experiment; the alias goes on naming what it names.

    Example: lorarack experiment stop support@prod --reason "not enough feedback"
    """
    adapter, name = split_alias(alias)
    with open_registry(registry, create=False) as opened:
        ended = opened.experiments.stop(adapter, name, reason)
    version = ended.reference.version
    emit(ended, json, lambda: f"The experiment on [bold]{ended.named}[/bold] has ended; it names version {version}")


def promote(
    alias: AliasArgument,
    arm: Annotated[str | None, typer.Argument(help="The arm to keep; without it, the recommended one.")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Promote even if the experiment has not shown that it is as good.")
    ] = False,
    reason: ReasonOption = None,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """End an experiment and point the alias at the version of one arm; exit code 3 when it is not shown to be as good.

    Example: lorarack experiment promote support@prod
    """
    adapter, name = split_alias(alias)
    with open_registry(registry, create=False) as opened:
        ended = opened.experiments.promote(adapter, name, arm, force=force, reason=reason)
        names = next(each.version for each in opened.aliases(adapter) if each.name == name)
    emit(ended, json, lambda: f"[bold]{ended.named}[/bold] now names version {names} (was {ended.reference.version})")


def _split_arm(text: str) -> tuple[str, float]:
    version, equals, weight = text.rpartition("=")
    try:
        share = float(weight)
    except ValueError:
        share = math.nan
    if not equals or not version or math.isnan(share):
        raise UsageError(f"{text!r} is no arm; write VERSION=PERCENT, for example --arm 5=10.", code="bad_arms")
    return version, share
