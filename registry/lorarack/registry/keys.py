"""The keys of a server's clients: making, listing and revoking them."""

from collections.abc import Sequence
from datetime import datetime
from difflib import get_close_matches

from lorarack.registry.access import Key, NewKey, check_globs, check_key_name, check_scopes, new_secret, secret_digest
from lorarack.registry.errors import NotFound, UsageError
from lorarack.registry.interface import Keys, KeyTable
from lorarack.registry.records import KeyRow
from lorarack.registry.resolve import did_you_mean


class RegistryKeys(Keys):
    """Implements ``Keys``; ``actor`` is recorded in the log."""

    def __init__(self, table: KeyTable, actor: str) -> None:
        self._table, self._actor = table, actor

    def add(
        self,
        name: str,
        *,
        scopes: Sequence[str] = ("inference",),
        adapters: Sequence[str] = ("*",),
        expires_at: datetime | None = None,
    ) -> NewKey:
        """See ``Keys.add``."""
        if expires_at is not None and expires_at.tzinfo is None:
            raise UsageError("The moment at which a key expires needs a time zone.", code="bad_moment")
        secret, prefix = new_secret()
        row = KeyRow(
            name=check_key_name(name),
            prefix=prefix,
            digest=secret_digest(secret.encode()),
            scopes=check_scopes(scopes),
            adapters=check_globs(adapters),
            expires_at=expires_at,
        )
        return NewKey(key=self._table.add(self._actor, row), secret=secret)

    def list(self) -> tuple[Key, ...]:
        """See ``Keys.list``."""
        return self._table.list()

    def revoke(self, name: str) -> Key:
        """See ``Keys.revoke``."""
        found = self._table.revoke(self._actor, check_key_name(name))
        if found is None:
            near = get_close_matches(name, [key.name for key in self.list()], n=3)
            raise NotFound(f"There is no key {name!r}.{did_you_mean(near)}", near=near, code="unknown_key")
        return found
