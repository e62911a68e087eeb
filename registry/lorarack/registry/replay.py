"""From the log of events alone to where the aliases point: nothing else is needed to know it, at any moment of the past."""

from collections.abc import Iterable

from lorarack.registry.values import Alias, Event


def replay_aliases(events: Iterable[Event]) -> tuple[Alias, ...]:
    """Where the aliases point after ``events`` (from the first, in order), by adapter and name, as ``Registry.aliases`` has it."""
    latest: dict[tuple[str, str], Alias] = {}
    for event in events:
        if event.kind == "alias_moved":
            moved = Alias.after(event)
            latest[moved.adapter, moved.name] = moved
    return tuple(latest[key] for key in sorted(latest))
