"""Suggestions for an unknown model name: another spelling of a reference, the base, or an adapter with a similar name."""

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from heapq import nsmallest
from itertools import pairwise

from lorarack.registry import Snapshot
from lorarack.registry.errors import BadReference, Conflict, NotFound
from lorarack.registry.reference import parse_reference
from lorarack.registry.resolve import did_you_mean, find_version

#: How many names are compared letter by letter: those that share most pairs of letters.
CANDIDATES = 100
#: What other servers put between a base and an adapter, or an adapter and its version.
_SEPARATORS = ":/#,|"
_OFFERED = 3
_CACHE_SIZE = 1024


class CloseNames:
    """The errors for unknown names in one snapshot, cached. For one thread, not the event loop's."""

    def __init__(self, snapshot: Snapshot, base_names: Iterable[str]) -> None:
        self._snapshot = snapshot
        self._bases = {name.casefold(): name for name in base_names}
        for base in snapshot.bases.values():
            if base.name in self._bases:
                self._bases |= {known.value.casefold(): base.name for known in base.ids if known.kind == "hub"}
        self._names: list[tuple[int, str]] | None = None
        self._errors: dict[str, NotFound | BadReference] = {}

    def error(self, text: str) -> NotFound | BadReference:
        """The error for ``text``, which names nothing, with suggestions."""
        if text not in self._errors:
            if len(self._errors) >= _CACHE_SIZE:
                self._errors.clear()
            self._errors[text] = self._build(text)
        return self._errors[text]

    def _build(self, text: str) -> NotFound | BadReference:
        meant = list(dict.fromkeys(self._other_spellings(text)))[:_OFFERED]
        try:
            name = parse_reference(text).name
        except BadReference as error:
            return BadReference(error.message + self._offer(meant or self._similar(text)))
        if name in self._snapshot.adapters:
            if meant:
                message = f"Adapter {name!r} has nothing at '@{text.partition('@')[2]}'."
                return NotFound(message + self._offer(meant), near=meant, code="unknown_reference")
            try:
                self._snapshot.resolve(text)
            except NotFound as error:
                return error
        near = meant or self._similar(name)
        return NotFound(f"There is no adapter {name!r}.{self._offer(near)}", near=near, code="unknown_reference")

    def _offer(self, near: list[str]) -> str:
        if len(near) == 1 and near[0] in self._bases.values():
            return f" Did you mean the base model {near[0]!r}?"
        return did_you_mean(near)

    def _other_spellings(self, text: str) -> Iterator[str]:
        for spelling in _spellings(text):
            if spelling in self._bases:
                yield self._bases[spelling]
            elif self._names_something(spelling):
                yield spelling

    def _names_something(self, text: str) -> bool:
        try:
            reference = parse_reference(text)
            view = self._snapshot.adapters.get(reference.name)
            return view is not None and find_version(reference, view) is not None
        except (BadReference, NotFound, Conflict):
            return False

    def _similar(self, text: str) -> list[str]:
        """Names with few letters of difference, the closest first."""
        wanted = text.casefold().partition("@")[0].strip()[:128]
        if self._names is None:
            names = [*self._bases.values(), *self._snapshot.adapters]
            self._names = [(_pairs(name), name) for name in dict.fromkeys(names)]
        mask = _pairs(wanted)
        few = nsmallest(CANDIDATES, self._names, key=lambda known: (known[0] ^ mask).bit_count())
        return get_close_matches(wanted, [name for _, name in few], n=_OFFERED, cutoff=0.6)


def _spellings(text: str) -> Iterator[str]:
    """``text`` as it would be written here, if it was written as elsewhere."""
    plain = re.sub(r"\s*@\s*v?", "@", text.strip().casefold()[:256])
    for form in dict.fromkeys(re.sub(r"\s+", joint, plain) for joint in ("-", "_", "")):
        yield form
        for separator in _SEPARATORS:
            if separator in form:
                first, last = form.partition(separator), form.rpartition(separator)
                yield from (last[2], first[2], f"{last[0]}@{last[2].removeprefix('v')}")
                inner = first[2].rpartition(separator)
                if inner[1]:
                    yield f"{inner[0]}@{inner[2].removeprefix('v')}"
    if found := re.fullmatch(r"(.+)[-_.]v?(\d+)", plain):
        yield f"{found[1]}@{found[2]}"


def _pairs(name: str) -> int:
    """The pairs of neighbouring letters as a set of bits: names that share most of them are near each other."""
    mask = 0
    for first, second in pairwise(f" {name} "):
        mask |= 1 << ((ord(first) * 37 + ord(second)) % 509)
    return mask
