"""Aliases, and moving them under a rule."""

from lorarack.registry.errors import NotFound
from lorarack.registry.operations.parts import Parts
from lorarack.registry.reference import check_adapter_name, check_alias_name
from lorarack.registry.texts import check_text
from lorarack.registry.values import Alias


class AliasOperations(Parts):
    """What can be done with aliases."""

    def set_alias(
        self, adapter: str, alias: str, version: int, *, expect: int | None = None, reason: str | None = None
    ) -> Alias:
        """Point an alias at a version; the move is kept with actor, time and reason.

        Args:
            adapter: the adapter's name.
            alias: the alias; made when it is new.
            version: the version's number.
            expect: the version that it must name now, else nothing happens.
            reason: why, for those who look at the history.

        Raises:
            UsageError: a bad alias name. NotFound: no such version. Conflict: not ready, or ``expect`` does not hold.
        """
        check_alias_name(alias)
        check_text(reason, "reason")
        check_adapter_name(adapter)
        try:
            return self._changer.set_alias(adapter, alias, version, expect, reason)
        except NotFound:
            self._check_known(adapter)  # says it better where there is no such adapter
            raise

    def aliases(self, adapter: str | None = None) -> tuple[Alias, ...]:
        """Where the aliases (of one adapter) point now. Raises ``NotFound``."""
        if adapter is not None:
            self._check_known(adapter)
        return self._reader.aliases(adapter)

    def alias_history(self, adapter: str, alias: str | None = None) -> tuple[Alias, ...]:
        """Every move of the adapter's aliases, or of one of them, oldest first. Raises ``NotFound``."""
        self._check_known(adapter)
        moves = self._reader.alias_moves(adapter, alias)
        if alias is not None and not moves:
            raise NotFound(f"Adapter {adapter!r} has never had an alias {alias!r}.", code="unknown_alias")
        return moves

    def _alias(self, adapter: str, alias: str) -> Alias:
        return next(found for found in self._reader.aliases(adapter) if found.name == alias)
