"""The parts of a query: what decides how statements with them are written, and the values, which are parameters."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, select

from lorarack.registry.catalog import filtering, wording
from lorarack.registry.catalog.filtering import Shape, filters, parameter
from lorarack.registry.catalog.finished import is_of
from lorarack.registry.catalog.loading import ids_parameter
from lorarack.registry.catalog.prepared import prepared
from lorarack.registry.queries import Condition, Query, parse_label


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a query: its shape and its values, by the names of the parameters."""

    shape: Shape
    values: Mapping[str, Any]

    @property
    def own(self) -> bool:
        """Whether it is about the columns of ``VERSIONS``."""
        return self.shape[0] in (filtering.equal, filtering.ranks, filtering.times, filtering.adapters)


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
        text = Part((filtering.text, is_long, wording.is_longest(query.text)), wording.parameters(query.text))
        found.insert(0 if is_long else len(found), text)
    return found


def shapes(parts: Sequence[Part]) -> tuple[Shape, ...]:
    """Their shapes."""
    return tuple(part.shape for part in parts)


def parameters(parts: Sequence[Part]) -> dict[str, Any]:
    """What a statement with ``filters`` of these parts must be given."""
    return {parameter(place, name): value for place, part in enumerate(parts) for name, value in part.values.items()}


def smallest(connection: Connection, parts: Sequence[Part], most: int) -> tuple[int, Part] | None:
    """The part that the fewest versions fulfil, and its place, if those are no more than ``most``."""
    found = None
    for place, part in enumerate(parts):
        counted = prepared(_counting, part.shape).scalars(connection, most=most + 1, **parameters([part]))
        count = len(counted) if part.shape[0] is filtering.text else counted[0]
        if count <= most:
            found, most = (place, _known(part, counted)), count - 1  # the next ones are counted no further than this
    return found


def _known(part: Part, ids: list[int]) -> Part:
    """A text is not looked for again: it takes as long as all the rest."""
    return Part((filtering.one_of,), {"ids": ids_parameter(set(ids))}) if part.shape[0] is filtering.text else part


def _counting(shape: Shape) -> Select[Any]:
    """How many versions fulfil a part, up to ``most``; of a text, which they are."""
    (part,) = filters([shape])
    if part.counted is not None:
        some: Select[Any] = part.counted.limit(bindparam("most"))
        return some
    found = select(part.ids).where(*part.found).limit(bindparam("most"))
    return select(func.count()).select_from(found.subquery())


def _column_parts(query: Query) -> Iterator[Part]:
    low, high, since, until, state = query.rank_min, query.rank_max, query.since, query.until, query.state
    if state is not None:
        yield Part((filtering.equal, "state"), {"value": state.value})
    if low is not None and low == high:
        yield Part((filtering.equal, "rank"), {"value": low})
    elif low is not None or high is not None:
        yield Part((filtering.ranks, low is not None, high is not None), {"low": low, "high": high})
    if since is not None or until is not None:
        yield Part((filtering.times, since is not None, until is not None), {"since": since, "until": until})


def _adapter_part(query: Query, base: int | None) -> list[Part]:
    start = (query.adapter or "*").removesuffix("*")
    how = "all" if not start else "begin" if (query.adapter or "").endswith("*") else "one"
    # Names are ASCII, so nothing that begins so lies behind the last character.
    values = {"base": base, "name": start, "end": f"{start}\x7f"}
    return [Part((filtering.adapters, base is not None, how), values)] if base is not None or start else []


def _tag_part(tag: str) -> Part:
    key, equals, value = tag.partition("=")
    return Part((filtering.tag, bool(equals)), {"key": key, "value": value})


def _metric_part(condition: Condition) -> Part:
    name, split = parse_label(condition.label)
    return Part((filtering.metric, condition.operator), {"name": name, "split": split, "value": condition.value})
