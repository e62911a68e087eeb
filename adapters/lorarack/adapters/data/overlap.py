"""Rows that are nearly the same: texts whose runs of three words agree to four fifths.

Every such pair is found. Two sets that share a fraction ``t`` of their union share one of the rarest ``(1 - t)`` of each (prefix
filtering: S. Chaudhuri, V. Ganti and R. Kaushik, "A primitive operator for similarity joins in data cleaning", 2006), so only
sets with such an element in common are compared.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lorarack.adapters.data.rows import Row

#: The share of their runs of words that two texts have in common to be called nearly the same.
ALIKE = 0.8

_RUN = 3
_WORDS = re.compile(r"\w+")
#: Of a longer text the beginning is compared: a copy of a long text has the same beginning.
_MOST_WORDS = 400


@dataclass(frozen=True, slots=True)
class NearRow:
    """A row of another set that is nearly one of ``train``, by their places, both counted from 1."""

    place: int
    train_place: int


def near_rows(train: Iterable[Row], others: Iterable[Row]) -> tuple[NearRow, ...]:
    """The rows of ``others`` whose questions are nearly, or but for case and punctuation, those of a row of ``train``."""
    known = [_runs(row.question) for row in train]
    asked = [_runs(row.question) for row in others]
    rarity = Counter(run for runs in (*known, *asked) for run in runs)
    index: defaultdict[str, list[int]] = defaultdict(list)
    for place, runs in enumerate(known):
        for run in _rarest(runs, rarity):
            index[run].append(place)
    found = []
    for place, runs in enumerate(asked):
        candidates = dict.fromkeys(near for run in _rarest(runs, rarity) for near in index.get(run, ()))
        match = next((near for near in candidates if _alike(runs, known[near])), None)
        if match is not None:
            found.append(NearRow(place + 1, match + 1))
    return tuple(found)


def _runs(text: str) -> frozenset[str]:
    words = _WORDS.findall(text.casefold())[:_MOST_WORDS]
    if len(words) <= _RUN:
        return frozenset({" ".join(words) or text.strip()})
    return frozenset(" ".join(words[start : start + _RUN]) for start in range(len(words) - _RUN + 1))


def _rarest(runs: frozenset[str], rarity: Counter[str]) -> Sequence[str]:
    ordered = sorted(runs, key=lambda run: (rarity[run], run))
    return ordered[: len(runs) - int(ALIKE * len(runs) - 1e-9)]


def _alike(first: frozenset[str], second: frozenset[str]) -> bool:
    shared = len(first & second)
    return shared >= ALIKE * (len(first) + len(second) - shared) - 1e-9
