"""Moving an alias under a rule, and back."""

from collections.abc import Sequence

from lorarack.registry.errors import Conflict, GateRefused, NotFound
from lorarack.registry.interface import Catalog
from lorarack.registry.promotion_rule import Outcome, judge
from lorarack.registry.queries import Judgement, Rule, parse_label
from lorarack.registry.texts import check_alias_name, check_text
from lorarack.registry.values import Alias, State
from lorarack.registry.versions import check_known, get_by_number


def promote(
    catalog: Catalog,
    actor: str,
    adapter: str,
    alias: str,
    version: int,
    rule: Rule | Judgement | None,
    reason: str | None,
    *,
    force: bool,
) -> Alias:
    """See ``Registry.promote``."""
    present = _pointing(catalog, adapter, alias, reason)
    number = present.version if present else 0
    forced = False
    if rule is not None:
        if isinstance(rule, Rule):
            parse_label(rule.label)
        if present and number == version:
            return present
        outcome = _outcome(catalog, adapter, alias, version, number, rule)
        forced = not outcome.holds
        if forced and not force:
            raise GateRefused(f"{adapter}@{alias} stays: {outcome.sentence}.")
        reason = "; ".join(part for part in (reason, f"{'forced: ' if forced else ''}{outcome.sentence}") if part)
    return catalog.set_alias(actor, adapter, alias, version, expect=number, reason=reason, forced=forced)


def _outcome(catalog: Catalog, adapter: str, alias: str, version: int, present: int, rule: Rule | Judgement) -> Outcome:
    candidate = get_by_number(catalog, adapter, version)
    if isinstance(rule, Rule):
        return judge(rule, candidate, get_by_number(catalog, adapter, present) if present else None)
    check_text(rule.sentence, "sentence of a judgement")
    if rule.present not in (None, present):
        judged = f"version {rule.present}" if rule.present else "nothing"
        raise Conflict(
            f"{adapter}@{alias} names {f'version {present}' if present else 'nothing'} now, and {candidate.reference} was "
            f"judged when it named {judged}; judge again.",
            code="stale_expect",
        )
    return Outcome(rule.holds, rule.sentence)


def rollback(catalog: Catalog, actor: str, adapter: str, alias: str, reason: str | None) -> Alias:
    """See ``Registry.rollback``. Versions that are gone or not ready by now are left out."""
    present = _pointing(catalog, adapter, alias, reason)
    if present is None:
        raise NotFound(f"Adapter {adapter!r} has no alias {alias!r}.", code="unknown_alias")
    before = _before(catalog.alias_moves(adapter, alias))
    target = next((number for number in before if _is_ready(catalog, adapter, number)), None)
    if target is None:
        raise Conflict(
            f"{adapter}@{alias} names version {present.version} and has named no other that is ready; "
            f"move it with 'lorarack alias set {adapter}@{alias} VERSION'.",
            code="nothing_before",
        )
    reason = reason or f"rolled back from version {present.version}"
    return catalog.set_alias(actor, adapter, alias, target, expect=present.version, reason=reason, rollback=True)


def _pointing(catalog: Catalog, adapter: str, alias: str, reason: str | None) -> Alias | None:
    """The current alias, after a check of the caller's expectation."""
    check_alias_name(alias)
    check_text(reason, "reason")
    check_known(catalog, adapter)
    return next((found for found in catalog.aliases(adapter) if found.name == alias), None)


def _is_ready(catalog: Catalog, adapter: str, number: int) -> bool:
    try:
        return get_by_number(catalog, adapter, number).state is State.READY
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
