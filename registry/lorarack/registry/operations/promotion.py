"""Moving an alias under a rule, and back."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lorarack.registry.errors import Conflict, GateRefused, NotFound
from lorarack.registry.operations.aliases import AliasOperations
from lorarack.registry.reference import check_alias_name
from lorarack.registry.texts import check_text
from lorarack.registry.values import Alias, State

if TYPE_CHECKING:
    from lorarack.registry.queries import Rule


class PromotionOperations(AliasOperations):
    """What can be done with aliases when more than their owner's word counts."""

    def promote(
        self,
        adapter: str,
        alias: str,
        version: int,
        *,
        rule: "Rule | None" = None,
        force: bool = False,
        reason: str | None = None,
    ) -> Alias:
        """Point an alias at a version if ``rule`` holds against the version that it names now; nobody can move it meanwhile.

        How the rule came out is kept behind the reason. With ``force`` the alias moves anyway, and its history says so.

        Raises:
            GateRefused: the rule does not hold; the figures are in the sentence.
            Conflict: not ready, or the alias was moved while the rule was checked. Else like ``set_alias``.
        """
        check_alias_name(alias)
        check_text(reason, "reason")
        self._check_known(adapter)
        present = self._pointing(adapter, alias)
        forced = False
        if rule is not None:
            from lorarack.registry.promotion import judge
            from lorarack.registry.queries import parse_label

            parse_label(rule.label)
            if present == version:
                return self._alias(adapter, alias)
            candidate = self._numbered(adapter, version)
            outcome = judge(rule, candidate, self._numbered(adapter, present) if present else None)
            forced = not outcome.holds
            if forced and not force:
                raise GateRefused(f"{adapter}@{alias} stays: {outcome.sentence}.")
            reason = "; ".join(part for part in (reason, f"{'forced: ' if forced else ''}{outcome.sentence}") if part)
        return self._changer.set_alias(adapter, alias, version, present, reason, forced=forced)

    def rollback(self, adapter: str, alias: str, *, reason: str | None = None) -> Alias:
        """Point an alias at the version that it named before; again, at the one before that.

        Versions that are gone or not ready by now are passed over.

        Raises:
            Conflict: there is none before it. NotFound: no such adapter or alias.
        """
        check_alias_name(alias)
        check_text(reason, "reason")
        self._check_known(adapter)
        present = self._pointing(adapter, alias)
        if not present:
            raise NotFound(f"Adapter {adapter!r} has no alias {alias!r}.", code="unknown_alias")
        before = _before(self._reader.alias_moves(adapter, alias))
        ready = (number for number in before if self._is_ready(adapter, number))
        target = next(ready, None)
        if target is None:
            raise Conflict(
                f"{adapter}@{alias} names version {present} and has named no other that is ready; "
                f"move it with 'lorarack alias set {adapter}@{alias} VERSION'.",
                code="nothing_before",
            )
        reason = reason or f"rolled back from version {present}"
        return self._changer.set_alias(adapter, alias, target, present, reason, rollback=True)

    def _pointing(self, adapter: str, alias: str) -> int:
        """The number that the alias names, or 0."""
        return next((found.version for found in self._reader.aliases(adapter) if found.name == alias), 0)

    def _is_ready(self, adapter: str, number: int) -> bool:
        try:
            return self._numbered(adapter, number).state is State.READY
        except NotFound:
            return False


def _before(moves: Sequence[Alias]) -> list[int]:
    """The numbers that an alias named before the present one, the latest first, leaving out what was rolled back."""
    named: list[int] = []
    for move in moves:
        if move.rollback and move.version in named:
            while named[-1] != move.version:
                named.pop()
        elif named[-1:] != [move.version]:
            named.append(move.version)
    present = named.pop() if named else 0
    return [number for number in reversed(named) if number != present]
