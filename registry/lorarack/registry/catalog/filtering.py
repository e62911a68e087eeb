"""The parts of a query as filters, each written in two ways: an index that finds the versions, and a question that is put to one.

A question is asked in the course of a walk past versions, so it is written such that SQLite does not leave the walk for an
index. Statements are written once for all queries of one shape, so filters have parameters in the places of values.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Integer, and_, bindparam, column, exists, func, select

from lorarack.registry.catalog import wording
from lorarack.registry.catalog.finished import compared, labelled
from lorarack.registry.catalog.hints import unindexed
from lorarack.registry.catalog.tables import ADAPTERS, FINISHED, TAGS, TEXTS, VERSIONS
from lorarack.registry.queries import Operator

Wanted = ColumnElement[bool]
#: A parameter of that name.
Given = Callable[[str], Any]
#: What writes a filter, and what it must be told for that. All that may be asked for in a statement.
Shape = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Filter:
    """A part as it is written in a statement.

    ``ids`` where ``found`` are the versions that fulfil it; ``counted`` are no fewer, where those take less time to count.
    ``asked`` asks one version, given the column with its id; it is about the columns of ``VERSIONS`` where the part is ``own``.
    """

    ids: Any
    found: Sequence[Wanted]
    asked: Callable[[Any], Wanted]
    own: bool = False
    counted: Any = None

    def among(self, version_id: Any) -> Wanted:
        """That ``version_id`` is one of the ids, of which there may be many."""
        if self.counted is not None:  # each is asked: a list of all that have a short text takes long
            return self.asked(version_id)
        return self.listed(version_id)

    def listed(self, version_id: Any) -> Wanted:
        """That ``version_id`` is one of the ids, which lead."""
        wanted: Wanted = version_id.in_(select(self.ids).where(*self.found).correlate(None))
        return wanted


def filters(of: Sequence[Shape]) -> list[Filter]:
    """The parts of those shapes, to be written into one statement."""
    return [write(partial(_given, place), *form) for place, (write, *form) in enumerate(of)]


def ask(parts: Sequence[Filter], version_id: Any) -> list[Wanted]:
    """Conditions that a version fulfils all ``parts``, given the column of the query around them that has its id."""
    if version_id is VERSIONS.c.id:
        return [part.asked(version_id) for part in parts]
    own = [part.asked(version_id) for part in parts if part.own]
    its_row = [exists().where(VERSIONS.c.id == unindexed(version_id), *own)] if own else []
    return its_row + [part.asked(version_id) for part in parts if not part.own]


def one_of(given: Given) -> Filter:
    """Versions that are known already: a JSON array of ids."""
    ids = func.json_each(given("ids")).table_valued(column("value", Integer)).c.value
    return Filter(ids, [], lambda version_id: version_id.in_(select(ids)))


def parameter(place: int, name: str) -> str:
    """The whole name of a part's parameter; ``place`` is the part's."""
    return f"part{place}_{name}"


def _given(place: int, name: str) -> Any:
    return bindparam(parameter(place, name))


def _own(its: Any, *compare: Callable[[Any], Wanted]) -> Filter:
    held = and_(*(so(unindexed(its)) for so in compare))
    return Filter(VERSIONS.c.id, [so(its) for so in compare], lambda _: held, own=True)


def equal(given: Given, name: str) -> Filter:
    """A column has that value."""
    return _own(VERSIONS.c[name], lambda its: its == given("value"))


def ranks(given: Given, has_low: bool, has_high: bool) -> Filter:
    """The rank lies between these."""
    low, high = (lambda its: its >= given("low")), (lambda its: its <= given("high"))
    return _own(VERSIONS.c.rank, *([low] if has_low else []), *([high] if has_high else []))


def times(given: Given, has_since: bool, has_until: bool) -> Filter:
    """Published in that time."""
    since, until = (lambda its: its >= given("since")), (lambda its: its < given("until"))
    return _own(VERSIONS.c.created_at, *([since] if has_since else []), *([until] if has_until else []))


def adapters(given: Given, has_base: bool, how: str) -> Filter:
    """Of one adapter, of those whose names begin so, or of all of a base."""
    wanted: list[Wanted] = [ADAPTERS.c.base_id == given("base")] if has_base else []
    if how == "begin":  # a range, not LIKE: it uses the index
        wanted += [ADAPTERS.c.name >= given("name"), ADAPTERS.c.name < given("end")]
    elif how == "one":
        wanted.append(ADAPTERS.c.name == given("name"))
    chosen = select(ADAPTERS.c.id).where(*wanted)
    return _own(VERSIONS.c.adapter_id, lambda its: its.in_(chosen))


def tag(given: Given, has_value: bool) -> Filter:
    """With that tag."""
    return _elsewhere(TAGS, [TAGS.c.key == given("key"), *([TAGS.c.value == given("value")] if has_value else [])])


def metric(given: Given, operator: Operator) -> Filter:
    """With such a number of that label."""
    rows = FINISHED.alias()  # the query around it may look at the same table for its order
    wanted = [*labelled(given("name"), given("split"), rows), compared(operator, given("value"), rows)]
    return _elsewhere(rows, wanted)


def _elsewhere(rows: Any, wanted: Sequence[Wanted]) -> Filter:
    def asked(version_id: Any) -> Wanted:
        return exists().where(rows.c.version_id == unindexed(version_id), *wanted)

    return Filter(rows.c.version_id, wanted, asked)


def text(given: Given, is_long: bool, is_longest: bool) -> Filter:
    """With that text in their words."""
    found = wording.indexed(given, is_long=is_long, is_longest=is_longest)
    return Filter(
        ids=TEXTS.c.version_id,
        found=[TEXTS.c.version_id.in_(found)],
        asked=lambda version_id: exists().where(TEXTS.c.version_id == unindexed(version_id), wording.contains(given)),
        counted=found,
    )
