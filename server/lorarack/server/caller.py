"""Who sends a request."""

from collections.abc import Set
from dataclasses import dataclass

from lorarack.registry.access import EVERY_ADAPTER, Scope, matches


@dataclass(frozen=True, slots=True)
class Caller:
    """The owner of a key.

    Attributes:
        name: the key's name, never the key.
        scopes: what the key is for.
        adapters: globs of the adapters and bases that it may use.
    """

    name: str
    scopes: Set[str] = frozenset(Scope)
    adapters: tuple[str, ...] = (EVERY_ADAPTER,)

    def has(self, scope: Scope) -> bool:
        """Whether the key is for that."""
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def may_use(self, name: str) -> bool:
        """Whether the key is for the adapter or base of that name."""
        return matches(name, self.adapters)

    @property
    def sees_all(self) -> bool:
        """Whether it may know of every adapter."""
        return EVERY_ADAPTER in self.adapters


#: Everybody, on a server without keys.
ANONYMOUS = Caller("anonymous")
