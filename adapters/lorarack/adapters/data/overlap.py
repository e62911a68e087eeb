"""Rows that are nearly the same: texts whose runs of three words agree to four fifths.

What most training rows open with says nothing of a row: a system message that several of them have, and a long opening that more
than half of them share, are left out.

Every such pair is found. Two sets that share a fraction ``t`` of their union share one of the rarest ``(1 - t)`` of each (prefix
filtering: S. Chaudhuri, V. Ganti and R. Kaushik, "A primitive operator for similarity joins in data cleaning", 2006), so only
sets with such an element in common are compared.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from lorarack.adapters.data.messages import Message
from lorarack.adapters.data.rows import Row

#: The share of their runs of words that two texts have in common to be called nearly the same.
ALIKE = 0.8

_RUN = 3
_WORDS = re.compile(r"\w+")
#: Of a longer text the beginning is compared: a copy of a long text has the same beginning.
_MOST_WORDS = 400
#: An opening is left out that has this many words, where this many different texts are there to tell.
_LONG_OPENING, _ENOUGH_TEXTS = 8, 8


@dataclass(frozen=True, slots=True)
class NearRow:
    """A row of another set that is nearly one of ``train``, by their places, both counted from 1."""

    place: int
    train_place: int


def near_rows(train: Iterable[Row], others: Iterable[Row]) -> tuple[NearRow, ...]:
    """The rows of ``others`` whose questions are nearly, or but for case and punctuation, those of a row of ``train``."""
    known, asked = _compared([*train], [*others])
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


def _compared(train: Sequence[Row], others: Sequence[Row]) -> tuple[list[frozenset[str]], list[frozenset[str]]]:
    """The runs of words by which rows are compared."""
    systems = Counter(text for row in train for text in {message.text for message in _systems(row)})
    shared = {text for text, count in systems.items() if count > 1}
    known, asked = ([_text(row, shared) for row in rows] for rows in (train, others))
    words = [_WORDS.findall(text.casefold()) for text in known]
    opening = _opening({tuple(found) for found in words})
    return [_runs(text, opening) for text in known], [_runs(text, opening) for text in asked]


def _systems(row: Row) -> Iterable[Message]:
    return (message for message in row.messages if message.role in ("system", "developer"))


def _text(row: Row, shared: set[str]) -> str:
    """What a row asks, without what is written in every chat: the names of keys, tools, and shared system messages."""
    if row.kind != "chat":
        return row.question
    told = {id(message) for message in _systems(row) if message.text in shared}
    texts = [text for document in row.options.documents for text in document.values()]
    for message in row.messages:
        if id(message) not in told:
            texts.extend((message.text, *(f"{call.name} {call.arguments}" for call in message.tool_calls)))
    return "\n".join(text for text in texts if text) or "\n".join(message.text for message in row.messages)


def _opening(texts: Collection[tuple[str, ...]]) -> tuple[str, ...]:
    """The longest opening that more than half of the texts share, where it is long enough to mislead."""
    opening: list[str] = []
    alike = [*texts]
    while len(texts) >= _ENOUGH_TEXTS:
        place = len(opening)
        following = Counter(text[place] for text in alike if len(text) > place)
        word, count = max(following.items(), key=lambda found: found[1], default=("", 0))
        if 2 * count <= len(texts):
            break
        opening.append(word)
        alike = [text for text in alike if len(text) > place and text[place] == word]
    return tuple(opening) if len(opening) >= _LONG_OPENING else ()


def _runs(text: str, opening: tuple[str, ...] = ()) -> frozenset[str]:
    words = _WORDS.findall(text.casefold())
    if len(words) > len(opening) and tuple(words[: len(opening)]) == opening:
        words = words[len(opening) :]
    words = words[:_MOST_WORDS]
    if len(words) <= _RUN:
        return frozenset({" ".join(words) or text.strip()})
    return frozenset(" ".join(words[start : start + _RUN]) for start in range(len(words) - _RUN + 1))


def _rarest(runs: frozenset[str], rarity: Counter[str]) -> Sequence[str]:
    ordered = sorted(runs, key=lambda run: (rarity[run], run))
    return ordered[: len(runs) - int(ALIKE * len(runs) - 1e-9)]


def _alike(first: frozenset[str], second: frozenset[str]) -> bool:
    shared = len(first & second)
    return shared >= ALIKE * (len(first) + len(second) - shared) - 1e-9
