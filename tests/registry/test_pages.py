"""Paged collections behave as the plain ones they stand for, through any changes, and old copies stay as they were."""

from hypothesis import given
from hypothesis import strategies as st

from lorarack.registry.pages import PagedList, PagedMap

NUMBERS = st.integers(0, 3000)


@given(
    st.builds(range, st.integers(0, 2), NUMBERS, st.integers(1, 4)),
    st.lists(st.tuples(st.booleans(), NUMBERS), max_size=60),
    NUMBERS,
)
def test_a_paged_list_is_a_sorted_list(start: range, changes: list[tuple[bool, int]], probe: int) -> None:
    paged, plain = PagedList(start), set(start)
    first = paged
    for add, number in changes:
        paged = paged.changed(add=number) if add else paged.changed(drop=number)
        plain = plain | {number} if add else plain - {number}
    assert list(paged) == sorted(plain)
    assert list(paged.since(probe)) == sorted(number for number in plain if number >= probe)
    assert bool(paged) == bool(plain)
    assert not plain or paged.last() == max(plain)
    assert list(first) == sorted(start)


@given(st.dictionaries(NUMBERS, st.text(max_size=2)), st.dictionaries(NUMBERS, st.text(max_size=2) | st.none()))
def test_a_paged_map_is_a_dictionary(start: dict[int, str], changes: dict[int, str | None]) -> None:
    first = PagedMap(start.items())
    paged = first.changed(changes)
    plain = {number: value for number, value in {**start, **changes}.items() if value is not None}
    assert dict(paged) == plain
    assert len(paged) == len(plain)
    assert all(paged.get(number) == plain.get(number) for number in [*start, *changes, -1])
    assert dict(first) == start


def test_a_list_grows_page_by_page() -> None:
    """One by one, in both directions: pages split and empty again."""
    paged: PagedList[int] = PagedList()
    for number in [*range(1500, 3000), *range(1499, -1, -1)]:
        paged = paged.changed(add=number)
    assert list(paged) == list(range(3000))
    for number in range(3000):
        paged = paged.changed(drop=number)
    assert list(paged) == []
