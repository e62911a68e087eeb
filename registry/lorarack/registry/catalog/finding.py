"""The statements of a search, written once for each shape of a query.

``shapes`` are those of the query's parts, and ``lead`` is the place of the part whose index leads.
"""

from typing import Any, NamedTuple

from sqlalchemy import Double, Integer, bindparam, func, select, tuple_

from lorarack.registry.catalog.filtering import Filter, Shape, ask, filters
from lorarack.registry.catalog.finished import compared, labelled
from lorarack.registry.catalog.hints import unindexed
from lorarack.registry.catalog.tables import BASES, FINISHED, VERSIONS
from lorarack.registry.queries import Operator


def base_named() -> Any:
    """The id of a base."""
    return select(BASES.c.id).where(BASES.c.name == bindparam("name"))


def ends() -> Any:
    """The least and the greatest id. As two questions: SQLite looks each up, but would read all rows for both at once."""
    least, greatest = select(func.min(VERSIONS.c.id)), select(func.max(VERSIONS.c.id))
    return select(least.scalar_subquery(), greatest.scalar_subquery())


def late() -> Any:
    """The greatest id before a moment."""
    return select(func.max(unindexed(VERSIONS.c.id))).where(VERSIONS.c.created_at < bindparam("until"))


def early() -> Any:
    """The least id from a moment on."""
    return select(func.min(unindexed(VERSIONS.c.id))).where(VERSIONS.c.created_at >= bindparam("since"))


def between(newest: bool, shapes: tuple[Shape, ...], lead: int | None, few: bool) -> Any:
    """Ids from ``low`` to ``high``: on a walk past versions or, given a lead, along its index."""
    parts = filters(shapes)
    if lead is None:
        place = order = VERSIONS.c.id
        wanted = ask(parts, place)
    else:
        place = parts[lead].ids
        wanted = [*parts[lead].found, *_others(parts, lead, few, place)]
        order = unindexed(place)  # the range of ids must not look like an index to use: it is nearly all of them
    chosen = select(place).where(order >= bindparam("low"), order <= bindparam("high"), *wanted)
    return chosen.order_by(order.desc() if newest else order).limit(bindparam("limit"))


class Way(NamedTuple):
    """A walk by a metric: which way, what is asked of the metric itself, and whether it begins behind a place."""

    descending: bool
    stretch: tuple[Operator, ...]
    behind: bool

    def measured(self) -> Any:
        """Ids and values in order, whatever their label."""
        order = [column.desc() if self.descending else column for column in (FINISHED.c.value, FINISHED.c.version_id)]
        wanted = [compared(each, bindparam(f"stretch{place}")) for place, each in enumerate(self.stretch)]
        wanted += [self.beyond("behind")] if self.behind else []
        return select(FINISHED.c.version_id, FINISHED.c.value).where(*wanted).order_by(*order)

    def beyond(self, name: str) -> Any:
        """That a number comes after the one in the parameters of that name."""
        here = tuple_(FINISHED.c.value, FINISHED.c.version_id)
        there = tuple_(bindparam(f"{name}_value", type_=Double()), bindparam(f"{name}_id", type_=Integer()))
        return here < there if self.descending else here > there


def far_end(way: Way) -> Any:
    """Where a walk ends that goes ``far``."""
    return way.measured().where(*_label()).offset(bindparam("far")).limit(1)


def along(way: Way, shapes: tuple[Shape, ...], is_ended: bool) -> Any:
    """A walk by the metric, as far as ``end`` if it ``is_ended``."""
    near = way.measured().where(*_label(), *([~way.beyond("end")] if is_ended else []))
    return near.where(*ask(filters(shapes), FINISHED.c.version_id)).limit(bindparam("limit"))


def listed(way: Way, shapes: tuple[Shape, ...], lead: int, few: bool) -> Any:
    """What the lead's index lists, in the order of the metric."""
    parts = filters(shapes)
    listed = way.measured().where(parts[lead].listed(FINISHED.c.version_id), *_label(of_few=True))
    return listed.where(*_others(parts, lead, few, FINISHED.c.version_id)).limit(bindparam("limit"))


def _label(*, of_few: bool = False) -> list[Any]:
    return labelled(bindparam("name"), bindparam("split"), of_few=of_few)


def _others(parts: list[Filter], lead: int, few: bool, version_id: Any) -> list[Any]:
    """The other parts as conditions: of few versions each is asked, of many it is looked up in lists."""
    others = parts[:lead] + parts[lead + 1 :]
    return ask(others, version_id) if few else [part.among(version_id) for part in others]
