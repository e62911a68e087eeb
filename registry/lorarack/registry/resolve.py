"""Which version a reference names: pure rules over one adapter's versions and aliases."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from lorarack.registry.errors import Conflict, NotFound
from lorarack.registry.reference import (
    ByAlias,
    ByDigest,
    ByNumber,
    ByRank,
    Latest,
    Reference,
    parse_reference,
)
from lorarack.registry.values import State, Version
from lorarack.registry.view import AdapterView


def resolve(text: str, adapters: Mapping[str, AdapterView], names: Iterable[str]) -> Version:
    """The version that ``text`` names.

    Args:
        text: the reference.
        adapters: at least the adapter that it may name.
        names: all names there are, for near matches.

    Raises:
        BadReference: not a reference.
        NotFound: nothing of that name; ``near`` lists what may have been meant.
        Conflict: the version is there but its state forbids it.
    """
    reference = parse_reference(text)
    view = adapters.get(reference.name)
    if view is None:
        near = get_close_matches(reference.name, list(names), n=3, cutoff=0.6)
        raise NotFound(
            f"There is no adapter {reference.name!r}.{did_you_mean(near)}", near=near, code="unknown_reference"
        )
    found = find_version(reference, view)
    if found is None:
        raise _unknown(reference, view)
    return found


def find_version(reference: Reference, view: AdapterView) -> Version | None:
    """The version of ``view`` that ``reference`` names; None when there is none. Takes microseconds.

    Raises:
        NotFound: the digest's prefix fits several.
        Conflict: the version is there but its state forbids it.
    """
    found = _pick(reference, view)
    by_bytes = isinstance(reference.selector, ByNumber | ByDigest)
    unusable = found and (
        found.state in (State.QUARANTINED, State.DAMAGED) or (found.state is State.ARCHIVED and not by_bytes)
    )
    if found and unusable:
        because = f" ({found.state_reason.rstrip('.')})" if found.state_reason else ""
        raise Conflict(
            f"{found.reference} is {found.state}{because}; ask for another version of {view.name!r}.", code="not_ready"
        )
    return found


def did_you_mean(near: Iterable[str]) -> str:
    """A sentence that offers ``near``, or nothing."""
    listed = [repr(name) for name in near]
    return f" Did you mean {' or '.join(listed)}?" if listed else ""


def _pick(reference: Reference, view: AdapterView) -> Version | None:
    match reference.selector:
        case ByNumber(number):
            return view.numbered(number)
        case ByAlias(alias):
            return view.numbered(view.aliases.get(alias, 0))
        case Latest():
            return view.newest()
        case ByRank(rank):
            return view.newest(rank)
        case ByDigest(prefix):
            return _by_digest(view, prefix)


def _by_digest(view: AdapterView, prefix: str) -> Version | None:
    found = view.with_digest(prefix)
    if len(found) > 1:
        listed = ", ".join(version.reference for version in found)
        raise NotFound(
            f"sha256:{prefix} is the start of several digests ({listed}); give more digits.", code="ambiguous"
        )
    return found[0] if found else None


def _unknown(reference: Reference, view: AdapterView) -> NotFound:
    ready = view.ready.get(None, ())
    aliases = [alias for alias in view.aliases if alias != "default"]
    near = [f"{view.name}@{alias}" for alias in get_close_matches(str(reference.selector), aliases, n=2, cutoff=0.5)]
    near = near or [view.by_number[number].reference for number in ready[-3:]]
    if not view.by_number:
        sentence = f"Adapter {view.name!r} has no versions."
    else:
        ranks = ", ".join(
            str(rank) for rank in sorted(rank for rank, numbers in view.ready.items() if rank and numbers)
        )
        sentence = (
            f"Adapter {view.name!r} has nothing at '@{reference.selector}' (ready versions of rank {ranks or 'none'})."
        )
    return NotFound(f"{sentence}{did_you_mean(near)}", near=near, code="unknown_reference")
