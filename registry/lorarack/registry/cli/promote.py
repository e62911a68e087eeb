"""``lorarack promote`` and ``lorarack rollback``."""

from typing import Annotated

import typer
from rich.markup import escape

from lorarack.registry.cli.options import JsonOption, RegistryOption
from lorarack.registry.cli.output import emit
from lorarack.registry.cli.parsing import split_alias
from lorarack.registry.errors import UsageError
from lorarack.registry.queries import Rule
from lorarack.registry.registry import open_registry
from lorarack.registry.values import Alias


def mount(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("promote")(promote)
    app.command("rollback")(rollback)


def promote(
    reference: Annotated[str, typer.Argument(metavar="REF", help="The version, for example support@r16.")],
    alias: Annotated[str, typer.Argument(help="Alias to move, for example prod.")],
    require: Annotated[
        str | None, typer.Option(metavar="METRIC", help="Only if this is not worse than that of the version there now.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(metavar="DIGEST", help="On this data set: the beginning of its digest, or none.")
    ] = None,
    min_gain: Annotated[float, typer.Option(help="By how much it must be better.")] = 0.0,
    force: Annotated[
        bool, typer.Option("--force", help="Move even if the check fails (recorded in the history).")
    ] = False,
    reason: Annotated[str | None, typer.Option(help="Why; kept in the history.")] = None,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Point an alias at a version if it is good enough; exit code 3 when it is not.

    Example: lorarack promote support@r16 prod --require eval_loss --min-gain 0.01
    """
    if not 0 <= min_gain < float("inf"):
        raise UsageError(f"A gain of {min_gain} cannot be asked for; give 0 or more.", code="bad_gain")
    if require is None and (min_gain or force or dataset is not None):
        raise UsageError(
            "--min-gain, --dataset and --force belong to a rule; name its metric with --require.", code="no_rule"
        )
    with open_registry(registry, create=False) as opened:
        version = opened.resolve(reference)
        rule = Rule(label=require, min_gain=min_gain, dataset=dataset) if require is not None else None
        moved = opened.promote(version.adapter, alias, version.number, rule=rule, force=force, reason=reason)
    emit(moved, json, lambda: _sentence(moved))


def rollback(
    alias: Annotated[str, typer.Argument(metavar="NAME@ALIAS", help="For example support@prod.")],
    reason: Annotated[str | None, typer.Option(help="Why; kept in the history.")] = None,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Point an alias at the version that it named before; again, at the one before that.

    Example: lorarack rollback support@prod --reason "wrong answers about refunds"
    """
    adapter, name = split_alias(alias)
    with open_registry(registry, create=False) as opened:
        moved = opened.rollback(adapter, name, reason=reason)
    emit(moved, json, lambda: _sentence(moved))


def _sentence(moved: Alias) -> str:
    before = f" (was {moved.previous})" if moved.previous else ""
    why = f"\n{escape(moved.reason)}" if moved.reason else ""
    return f"[bold]{moved.adapter}@{moved.name}[/bold] now names version {moved.version}{before}{why}"
