"""``lorarack key add``, ``list`` and ``revoke``."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from lorarack.registry.access import EVERY_ADAPTER, Key, Scope, matches
from lorarack.registry.cli.options import JsonOption, RegistryOption
from lorarack.registry.cli.output import emit, note, out
from lorarack.registry.cli.parsing import parse_expiry
from lorarack.registry.cli.render import table
from lorarack.registry.interface import Registry
from lorarack.registry.registry import open_registry


def mount(app: typer.Typer) -> None:
    """Add the ``key`` group."""
    group = typer.Typer(no_args_is_help=True, help="Keys of a server's clients; servers follow within a second.")
    group.command("add")(add)
    group.command("list")(list_)
    group.command("revoke")(revoke)
    app.add_typer(group, name="key")


def add(
    name: Annotated[str, typer.Argument(help="Its owner; shown in the server's log.")],
    scope: Annotated[
        list[Scope] | None,
        typer.Option(help="inference: ask models; metrics: read /metrics; admin: everything. Default: inference."),
    ] = None,
    adapters: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="Adapters and bases that it may use, as 'acme-*'. Default: all."),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(metavar="WHEN", help="A date (2027-01-31) or 90d, 12h, 30min from now. Default: never."),
    ] = None,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Make a key. It is printed once and kept nowhere; servers over this registry ask for keys from now on.

    Example: lorarack key add web-shop --adapters 'support' --adapters 'acme/*' --expires 90d
    """
    scopes = [each.value for each in scope or [Scope.INFERENCE]]
    until = parse_expiry(expires) if expires is not None else None
    with open_registry(registry, create=False) as opened:
        made = opened.keys.add(name, scopes=scopes, adapters=adapters or [EVERY_ADAPTER], expires_at=until)
        for glob in _matching_nothing(opened, made.key):
            note(f"No adapter or base matches {glob!r} yet.")
    emit({**made.key.to_json(), "key": made.secret}, json, lambda: escape(made.secret))
    if not json:
        note(
            "Keep it now: it is not shown again. Clients send it as their API key, 'lorarack ask' from LORARACK_TOKEN."
        )


def list_(registry: RegistryOption = None, json: JsonOption = False) -> None:
    """List the keys, also those that have expired or were revoked.

    Example: lorarack key list
    """
    with open_registry(registry, create=False) as opened:
        keys = opened.keys.list()
    if not keys and not json:
        out.print("No keys: servers over this registry ask for none. Make one with 'lorarack key add NAME'.")
        return
    emit(keys, json, lambda: _table(keys))


def revoke(
    name: Annotated[str, typer.Argument(help="As 'lorarack key list' has it.")],
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Revoke a key. Requests that were let in with it are answered; the next one is refused.

    Example: lorarack key revoke web-shop
    """
    with open_registry(registry, create=False) as opened:
        key = opened.keys.revoke(name)
    emit(key, json, lambda: f"[bold]{key.name}[/bold] opens nothing any more.")


def _matching_nothing(registry: Registry, key: Key) -> list[str]:
    names = [*(adapter.name for adapter in registry.adapters()), *(base.name for base in registry.bases())]
    return [glob for glob in key.adapters if glob != EVERY_ADAPTER and not any(matches(name, [glob]) for name in names)]


def _table(keys: tuple[Key, ...]) -> Table:
    rows = table("key", "state", "for", "adapters", "begins with", "made (UTC)", "by", "expires (UTC)")
    now = datetime.now(UTC)
    for key in keys:
        rows.add_row(
            key.name,
            key.state(now),
            " ".join(key.scopes),
            " ".join(key.adapters),
            key.prefix,
            f"{key.created_at:%Y-%m-%d %H:%M}",
            escape(key.created_by),
            f"{key.expires_at:%Y-%m-%d %H:%M}" if key.expires_at else "–",
        )
    return rows
