"""``lorarack promote`` and ``lorarack rollback``."""

from typing import Annotated, Protocol

import typer
from rich.markup import escape

from lorarack.registry.cli.options import JsonOption, RegistryOption
from lorarack.registry.cli.output import emit
from lorarack.registry.cli.parsing import split_alias
from lorarack.registry.errors import UsageError
from lorarack.registry.interface import Registry
from lorarack.registry.queries import Judgement, Rule
from lorarack.registry.registry import open_registry
from lorarack.registry.values import Alias

#: The entry points of what judges a promotion by more than metrics.
JUDGES = "lorarack.promotion_judges"


class PromotionJudge(Protocol):
    """Says whether ``reference`` is not worse than ``than``; ``alias`` is the one that is to be moved."""

    def __call__(
        self,
        registry: Registry,
        reference: str,
        than: str,
        *,
        alias: str,
        margin: float | None,
        metric: str | None,
        dataset: str | None,
    ) -> Judgement:
        """The judgement, with the figures in its sentence."""


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
    min_gain: Annotated[float, typer.Option(help="Minimum improvement.")] = 0.0,
    than: Annotated[
        str | None,
        typer.Option(
            "--not-worse-than",
            metavar="REF",
            help="Only if the rows that both have answered show that it is not worse than this alias or version, by the margin.",
        ),
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(
            help="With --not-worse-than. Default: 0.05, five points; of losses 0.01, 1 %.", show_default=False
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Move even if the check fails (recorded in the history).")
    ] = False,
    reason: Annotated[str | None, typer.Option(help="Why; kept in the history.")] = None,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Point an alias at a version if it is good enough; exit code 3 when it is not.

    --require looks at two numbers, so a chance difference decides. --not-worse-than is the rule of 'lorarack compare' on the
    evaluations that it kept; --require and --dataset then choose one, where both versions have several.

    Example: lorarack promote support@r16 prod --not-worse-than prod --margin 0.02
    """
    if not 0 <= min_gain < float("inf"):
        raise UsageError(f"A gain of {min_gain} cannot be asked for; give 0 or more.", code="bad_gain")
    if require is None and than is None and (min_gain or force or dataset is not None):
        raise UsageError(
            "--min-gain, --dataset and --force belong to a rule; name its metric with --require.", code="no_rule"
        )
    if than is None and margin is not None:
        raise UsageError("--margin belongs to --not-worse-than; for a metric give --min-gain.", code="no_rule")
    if than is not None and min_gain:
        raise UsageError("--min-gain and --not-worse-than are two rules; give one of them.", code="two_rules")
    with open_registry(registry, create=False) as opened:
        version = opened.resolve(reference)
        rule: Rule | Judgement | None = None
        if than is not None:
            rule = _judge()(
                opened, version.reference, than, alias=alias, margin=margin, metric=require, dataset=dataset
            )
        elif require is not None:
            rule = Rule(label=require, min_gain=min_gain, dataset=dataset)
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


def _judge() -> PromotionJudge:
    """What judges by evaluations: another component, since statistics are none of the registry's business.

    Raises:
        UsageError: it, or what it needs, is not installed.
    """
    from importlib.metadata import entry_points

    for point in entry_points(group=JUDGES, name="not_worse_than"):
        try:
            judge: PromotionJudge = point.load()
        except ModuleNotFoundError:
            break
        return judge
    raise UsageError(
        "--not-worse-than needs the statistics; install them with: pip install 'lorarack[compare]'.",
        code="not_installed",
    )


def _sentence(moved: Alias) -> str:
    before = f" (was {moved.previous})" if moved.previous else ""
    why = f"\n{escape(moved.reason)}" if moved.reason else ""
    return f"[bold]{moved.adapter}@{moved.name}[/bold] now names version {moved.version}{before}{why}"
