"""Aliases: where they point, and moving them without a rule (with one: ``promotion``)."""

from collections.abc import Iterable

from lorarack.registry.errors import NotFound
from lorarack.registry.interface import Catalog
from lorarack.registry.texts import check_adapter_name, check_alias_name, check_text
from lorarack.registry.values import Alias, Event
from lorarack.registry.versions import check_known


def set_alias(
    catalog: Catalog, actor: str, adapter: str, alias: str, version: int, expect: int | None, reason: str | None
) -> Alias:
    """See ``Registry.set_alias``."""
    check_alias_name(alias)
    check_text(reason, "reason")
    check_adapter_name(adapter)
    try:
        return catalog.set_alias(actor, adapter, alias, version, expect=expect, reason=reason)
    except NotFound:
        check_known(catalog, adapter)  # says it better where there is no such adapter
        raise


def aliases(catalog: Catalog, adapter: str | None) -> tuple[Alias, ...]:
    """See ``Registry.aliases``."""
    if adapter is not None:
        check_known(catalog, adapter)
    return catalog.aliases(adapter)


def alias_history(catalog: Catalog, adapter: str, alias: str | None) -> tuple[Alias, ...]:
    """See ``Registry.alias_history``."""
    check_known(catalog, adapter)
    moves = catalog.alias_moves(adapter, alias)
    if alias is not None and not moves:
        raise NotFound(f"Adapter {adapter!r} has never had an alias {alias!r}.", code="unknown_alias")
    return moves


def replay_aliases(events: Iterable[Event]) -> tuple[Alias, ...]:
    """Where the aliases point after ``events`` (from the first, in order), by adapter and name, as ``Registry.aliases`` has it.

    It follows from the log of events, for any moment of the past.
    """
    latest: dict[tuple[str, str], Alias] = {}
    for event in events:
        if event.kind == "alias_moved":
            moved = Alias.after(event)
            latest[moved.adapter, moved.name] = moved
    return tuple(latest[key] for key in sorted(latest))
