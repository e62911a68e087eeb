"""The parts of a query as filters, each in two shapes: an index that finds the versions, and a question that is put to one.

A question is asked in the course of a walk past versions, so it is written such that SQLite does not leave the walk for an
index. Statements are written once for all queries of one shape, so filters have parameters in the places of values.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Connection, Integer, Select, and_, bindparam, column, exists, func, select

from lorarack.registry.catalog import wording
from lorarack.registry.catalog.finished import compared, is_of, labelled
from lorarack.registry.catalog.hints import unindexed
from lorarack.registry.catalog.loading import ids_parameter
from lorarack.registry.catalog.prepared import prepared
from lorarack.registry.catalog.tables import ADAPTERS, FINISHED, TAGS, TEXTS, VERSIONS
from lorarack.registry.queries import Condition, Operator, Query, parse_label

Wanted = ColumnElement[bool]
#: A parameter of that name.
Given = Callable[[str], Any]
#: What writes a filter, and what it must be told for that. All that may be asked for in a statement.
Shape = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a query: its shape and its values, by the names of the parameters."""

    shape: Shape
    values: Mapping[str, Any]

    @property
    def own(self) -> bool:
        """Whether it is about the columns of ``VERSIONS``."""
        return self.shape[0] in (_equal, _ranks, _times, _adapters)


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


def parts_of(query: Query, base: int | None, without: str | None = None) -> list[Part]:
    """The query's parts, those first that few versions fulfil as a rule.

    ``base`` is the id of the query's base; conditions on the metric ``without`` are left out.
    """
    found = [_tag_part(tag) for tag in query.tags]
    found += _adapter_part(query, base)
    found += [_metric_part(each) for each in query.metrics if without is None or not is_of(each, without)]
    found += _column_parts(query)
    if query.text:
        is_long = wording.is_long(query.text)
        text = Part((_text, is_long, wording.is_longest(query.text)), wording.parameters(query.text))
        found.insert(0 if is_long else len(found), text)
    return found


def shapes(parts: Sequence[Part]) -> tuple[Shape, ...]:
    """Their shapes."""
    return tuple(part.shape for part in parts)


def filters(of: Sequence[Shape]) -> list[Filter]:
    """The parts of those shapes, to be written into one statement."""
    return [write(partial(_given, place), *form) for place, (write, *form) in enumerate(of)]


def parameters(parts: Sequence[Part]) -> dict[str, Any]:
    """What a statement with ``filters`` of these parts must be given."""
    return {_name(place, name): value for place, part in enumerate(parts) for name, value in part.values.items()}


def ask(parts: Sequence[Filter], version_id: Any) -> list[Wanted]:
    """Conditions that a version fulfils all ``parts``, given the column of the query around them that has its id."""
    if version_id is VERSIONS.c.id:
        return [part.asked(version_id) for part in parts]
    own = [part.asked(version_id) for part in parts if part.own]
    its_row = [exists().where(VERSIONS.c.id == unindexed(version_id), *own)] if own else []
    return its_row + [part.asked(version_id) for part in parts if not part.own]


def smallest(connection: Connection, parts: Sequence[Part], most: int) -> tuple[int, Part] | None:
    """The part that the fewest versions fulfil, and its place, if those are no more than ``most``."""
    found = None
    for place, part in enumerate(parts):
        counted = prepared(_counting, part.shape).scalars(connection, most=most + 1, **parameters([part]))
        count = len(counted) if part.shape[0] is _text else counted[0]
        if count <= most:
            found, most = (place, _known(part, counted)), count - 1  # the next ones are counted no further than this
    return found


def _known(part: Part, ids: list[int]) -> Part:
    """A text is not looked for again: it takes as long as all the rest."""
    return Part((_one_of,), {"ids": ids_parameter(set(ids))}) if part.shape[0] is _text else part


def _one_of(given: Given) -> Filter:
    ids = func.json_each(given("ids")).table_valued(column("value", Integer)).c.value
    return Filter(ids, [], lambda version_id: version_id.in_(select(ids)))


def _counting(shape: Shape) -> Select[Any]:
    """How many versions fulfil a part, up to ``most``; of a text, which they are."""
    (part,) = filters([shape])
    if part.counted is not None:
        some: Select[Any] = part.counted.limit(bindparam("most"))
        return some
    found = select(part.ids).where(*part.found).limit(bindparam("most"))
    return select(func.count()).select_from(found.subquery())


def _name(place: int, name: str) -> str:
    return f"part{place}_{name}"


def _given(place: int, name: str) -> Any:
    return bindparam(_name(place, name))


def _own(its: Any, *compare: Callable[[Any], Wanted]) -> Filter:
    held = and_(*(so(unindexed(its)) for so in compare))
    return Filter(VERSIONS.c.id, [so(its) for so in compare], lambda _: held, own=True)


def _column_parts(query: Query) -> Iterator[Part]:
    low, high, since, until, state = query.rank_min, query.rank_max, query.since, query.until, query.state
    if state is not None:
        yield Part((_equal, "state"), {"value": state.value})
    if low is not None and low == high:
        yield Part((_equal, "rank"), {"value": low})
    elif low is not None or high is not None:
        yield Part((_ranks, low is not None, high is not None), {"low": low, "high": high})
    if since is not None or until is not None:
        yield Part((_times, since is not None, until is not None), {"since": since, "until": until})


def _equal(given: Given, name: str) -> Filter:
    return _own(VERSIONS.c[name], lambda its: its == given("value"))


def _ranks(given: Given, has_low: bool, has_high: bool) -> Filter:
    low, high = (lambda its: its >= given("low")), (lambda its: its <= given("high"))
    return _own(VERSIONS.c.rank, *([low] if has_low else []), *([high] if has_high else []))


def _times(given: Given, has_since: bool, has_until: bool) -> Filter:
    since, until = (lambda its: its >= given("since")), (lambda its: its < given("until"))
    return _own(VERSIONS.c.created_at, *([since] if has_since else []), *([until] if has_until else []))


def _adapter_part(query: Query, base: int | None) -> list[Part]:
    start = (query.adapter or "*").removesuffix("*")
    how = "all" if not start else "begin" if (query.adapter or "").endswith("*") else "one"
    # Names are ASCII, so nothing that begins so lies behind the last character.
    values = {"base": base, "name": start, "end": f"{start}\x7f"}
    return [Part((_adapters, base is not None, how), values)] if base is not None or start else []


def _adapters(given: Given, has_base: bool, how: str) -> Filter:
    wanted: list[Wanted] = [ADAPTERS.c.base_id == given("base")] if has_base else []
    if how == "begin":  # a range, not LIKE: it uses the index
        wanted += [ADAPTERS.c.name >= given("name"), ADAPTERS.c.name < given("end")]
    elif how == "one":
        wanted.append(ADAPTERS.c.name == given("name"))
    chosen = select(ADAPTERS.c.id).where(*wanted)
    return _own(VERSIONS.c.adapter_id, lambda its: its.in_(chosen))


def _tag_part(tag: str) -> Part:
    key, equals, value = tag.partition("=")
    return Part((_tag, bool(equals)), {"key": key, "value": value})


def _tag(given: Given, has_value: bool) -> Filter:
    return _elsewhere(TAGS, [TAGS.c.key == given("key"), *([TAGS.c.value == given("value")] if has_value else [])])


def _metric_part(condition: Condition) -> Part:
    name, split = parse_label(condition.label)
    return Part((_metric, condition.operator), {"name": name, "split": split, "value": condition.value})


def _metric(given: Given, operator: Operator) -> Filter:
    rows = FINISHED.alias()  # the query around it may look at the same table for its order
    wanted = [*labelled(given("name"), given("split"), rows), compared(operator, given("value"), rows)]
    return _elsewhere(rows, wanted)


def _elsewhere(rows: Any, wanted: Sequence[Wanted]) -> Filter:
    def asked(version_id: Any) -> Wanted:
        return exists().where(rows.c.version_id == unindexed(version_id), *wanted)

    return Filter(rows.c.version_id, wanted, asked)


def _text(given: Given, is_long: bool, is_longest: bool) -> Filter:
    found = wording.indexed(given, is_long=is_long, is_longest=is_longest)
    return Filter(
        ids=TEXTS.c.version_id,
        found=[TEXTS.c.version_id.in_(found)],
        asked=lambda version_id: exists().where(TEXTS.c.version_id == unindexed(version_id), wording.contains(given)),
        counted=found,
    )
