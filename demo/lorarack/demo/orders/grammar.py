"""One spoken order and its JSON, drawn from the words of the menu."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar

from lorarack.demo.orders import menu

T = TypeVar("T")


@dataclass(slots=True)
class _Line:
    number: int
    size: str | None
    item: menu.Item
    note: str | None
    said_note: str | None

    def to_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "n": self.number,
            "item": f"{self.size} {self.item.name}" if self.size else self.item.name,
        }
        if self.note:
            found["note"] = self.note
        return found

    def noun(self) -> str:
        return self.item.name if self.number == 1 else self.item.plural


class Speaker:
    """Makes random orders. The same seed makes the same orders on every machine and Python.

    Only ``Random.random`` is used: of all its methods it alone is promised to stay as it is.
    """

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)  # noqa: S311  (not for secrets)

    def order(self) -> tuple[str, str]:
        """A sentence and the JSON call it means."""
        lines = self._lines()
        said = [self._say(line) for line in lines]
        spoken = " and ".join([", ".join(said[:-1]), said[-1]]) if len(said) > 1 else said[0]
        parts = [self._pick(menu.OPENINGS) + spoken]
        if self._chance(0.35):
            parts.append(self._change_of_mind(lines))
        call: dict[str, Any] = {"items": [line.to_json() for line in lines]}
        how = self._pick(tuple(menu.LEAVING))
        leaving = self._pick(menu.LEAVING[how])
        call["for"] = how
        if how != "here":
            spoken_time, call["at"] = self._time()
            leaving += f" at {spoken_time}"
        parts.append(leaving)
        return ", ".join(parts), json.dumps(call, separators=(",", ":"))

    def _lines(self) -> list[_Line]:
        lines: list[_Line] = []
        for item in self._sample(menu.MENU, self._pick((1, 2))):
            size = self._pick((None, *menu.SIZES)) if item.sized else None
            note, said = self._note(item) if self._chance(0.5) else (None, None)
            lines.append(_Line(self._pick(tuple(menu.NUMBERS)), size, item, note, said))
        return lines

    def _note(self, item: menu.Item) -> tuple[str, str]:
        if self._chance(0.5):
            what = self._pick(item.adds)
            return what, self._pick(menu.ADDING).format(what=what)
        what = self._pick(item.drops)
        return f"no {what}", self._pick(menu.DROPPING).format(what=what)

    def _say(self, line: _Line) -> str:
        words = [self._pick(menu.NUMBERS[line.number])]
        if line.size:
            words.append(self._pick(menu.SIZES[line.size]))
        words.append(line.noun())
        if line.said_note:
            words.append(line.said_note)
        return " ".join(words)

    def _change_of_mind(self, lines: list[_Line]) -> str:
        """Say that a number was wrong, or that one thing is not wanted after all, and change ``lines`` so."""
        line = self._pick(lines)
        if len(lines) > 1 and self._chance(0.4):
            lines.remove(line)
            return self._pick(menu.REMOVALS).format(items=line.noun())
        line.number = self._pick([number for number in menu.NUMBERS if number != line.number])
        return self._pick(menu.RECOUNTS).format(number=menu.NUMBERS[line.number][0], items=line.noun())

    def _time(self) -> tuple[str, str]:
        hour = self._pick(menu.HOURS)
        minute = self._pick(tuple(menu.MINUTES))
        words = self._pick(menu.MINUTES[minute]).format(hour=hour)
        return words, f"{menu.HOURS.index(hour) + 1}:{minute:02}"

    def _pick(self, choices: Sequence[T]) -> T:
        return choices[int(self._random.random() * len(choices))]

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def _sample(self, choices: Sequence[T], count: int) -> list[T]:
        left = list(choices)
        return [left.pop(int(self._random.random() * len(left))) for _ in range(count)]
