"""Collections that are never changed but copied with changes, a page at a time: a copy of all 100,000 entries takes longer
than everything else that following a change takes."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from typing import Generic, TypeVar

_BITS = 8
_PAGE = 512

V = TypeVar("V")
T = TypeVar("T", int, tuple[str, int])


class PagedMap(Mapping[int, V]):
    """A mapping from numbers, in pages of neighbours; iterates in no particular order."""

    __slots__ = ("_length", "_pages")

    def __init__(self, items: Iterable[tuple[int, V]] = ()) -> None:
        pages: dict[int, dict[int, V]] = {}
        for number, value in items:
            pages.setdefault(number >> _BITS, {})[number] = value
        self._pages = pages
        self._length = sum(map(len, pages.values()))

    def __getitem__(self, number: int) -> V:
        return self._pages[number >> _BITS][number]

    def __iter__(self) -> Iterator[int]:
        return (number for page in self._pages.values() for number in page)

    def __len__(self) -> int:
        return self._length

    def changed(self, changes: Mapping[int, V | None]) -> "PagedMap[V]":
        """A copy in which ``changes`` hold; None is for a number that is gone."""
        pages = self._pages.copy()
        for place in {number >> _BITS for number in changes}:
            pages[place] = pages.get(place, {}).copy()
        for number, value in changes.items():
            page = pages[number >> _BITS]
            if value is None:
                page.pop(number, None)
            else:
                page[number] = value
        after: PagedMap[V] = PagedMap()
        after._pages = pages
        touched = {number >> _BITS for number in changes}
        before = sum(len(self._pages.get(place, ())) for place in touched)
        after._length = self._length - before + sum(len(pages[place]) for place in touched)
        return after


class PagedList(Generic[T]):
    """Distinct values in ascending order."""

    __slots__ = ("_pages", "_starts")

    def __init__(self, values: Iterable[T] = ()) -> None:
        ordered = sorted(values)
        self._pages: list[list[T]] = [ordered[start : start + _PAGE] for start in range(0, len(ordered), _PAGE)]
        self._starts: list[T] = [page[0] for page in self._pages]

    def __iter__(self) -> Iterator[T]:
        return (value for page in self._pages for value in page)

    def __bool__(self) -> bool:
        return bool(self._pages)

    def last(self) -> T:
        """The greatest value. Raises ``IndexError`` when there is none."""
        return self._pages[-1][-1]

    def tail(self, count: int) -> list[T]:
        """The ``count`` greatest values, or as many as there are, in ascending order."""
        found: list[T] = []
        for page in reversed(self._pages):
            found[:0] = page[-(count - len(found)) :]
            if len(found) == count:
                break
        return found

    def since(self, start: T) -> Iterator[T]:
        """The values from ``start`` on."""
        first = max(bisect_right(self._starts, start) - 1, 0)
        for place in range(first, len(self._pages)):
            page = self._pages[place]
            yield from page[bisect_left(page, start) :] if place == first else page

    def changed(self, *, add: T | None = None, drop: T | None = None) -> "PagedList[T]":
        """A copy without ``drop`` and with ``add``; either may be absent or there already."""
        after: PagedList[T] = PagedList()
        after._pages, after._starts = self._pages.copy(), self._starts.copy()
        if drop is not None:
            after._drop(drop)
        if add is not None:
            after._add(add)
        return after

    def _drop(self, value: T) -> None:
        place = bisect_right(self._starts, value) - 1
        if place < 0:
            return
        page = [kept for kept in self._pages[place] if kept != value]
        self._replace(place, place + 1, [page] if page else [])

    def _add(self, value: T) -> None:
        place = max(bisect_right(self._starts, value) - 1, 0)
        page = self._pages[place].copy() if self._pages else []
        at = bisect_left(page, value)
        if page[at : at + 1] == [value]:
            return
        page.insert(at, value)
        halves = [page[: _PAGE // 2], page[_PAGE // 2 :]] if len(page) > _PAGE else [page]
        self._replace(place, place + 1, halves)

    def _replace(self, start: int, stop: int, pages: list[list[T]]) -> None:
        self._pages[start:stop] = pages
        self._starts[start:stop] = [page[0] for page in pages]
