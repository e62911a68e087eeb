"""What a registry and its catalog do with the keys of a server's clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

# The calls are to be read as a table; the formatter would give each name a line.
# fmt: off
# isort: off

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from lorarack.registry.access import Key, NewKey
    from lorarack.registry.records import KeyRow


class Keys(Protocol):
    """The keys of a registry. A name, scope or glob that cannot be kept raises ``UsageError``."""

    def add(self, name: str, *, scopes: Sequence[str] = ("inference",), adapters: Sequence[str] = ("*",),
            expires_at: datetime | None = None) -> NewKey:
        """Make a key for ``scopes`` (``access.Scope``) and the adapters and bases that one of the globs matches.

        Only what is returned has the secret. ``Conflict``: there is, or was, a key of that name.
        """
    def list(self) -> tuple[Key, ...]: """All keys, by name; also those that have expired or were revoked."""
    def revoke(self, name: str) -> Key:
        """Let a key open nothing any more; servers follow within a second. ``NotFound``: there is no such key."""


class KeyTable(Protocol):
    """The keys in a catalog. The caller has checked names, scopes and globs; ``actor`` goes into the events."""

    def add(self, actor: str, new: KeyRow) -> Key: """As in ``Keys``. ``UsageError``: it would have expired by now."""
    def list(self) -> tuple[Key, ...]: """As in ``Keys``."""
    def revoke(self, actor: str, name: str) -> Key | None: """Once; None: there is no such key."""
