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


def nearest(newest: bool) -> Any:
    """The last id before ``moment`` by time, or the first from then on."""
    order = [column.desc() if newest else column for column in (VERSIONS.c.created_at, VERSIONS.c.id)]
    return select(VERSIONS.c.id).where(_at(newest)).order_by(*order).limit(1)


def beyond(newest: bool) -> Any:
    """The greatest id before ``moment`` that is greater than ``near``, or the least from then on that is less: there is hardly one,
    so the ids are compared first. In order, for then SQLite compares no row's time."""
    id_, time = VERSIONS.c.id, VERSIONS.c.created_at
    further = unindexed(id_) > bindparam("near") if newest else unindexed(id_) < bindparam("near")
    # Without a limit SQLite would drop the order.
    found = select(id_).where(_at(newest), further).order_by(time.desc() if newest else time).limit(-1).subquery()
    return select(func.max(found.c.id) if newest else func.min(found.c.id))


def _at(newest: bool) -> Any:
    moment: Any = bindparam("moment")
    return VERSIONS.c.created_at < moment if newest else VERSIONS.c.created_at >= moment


def outermost(newest: bool, shape: Shape) -> Any:
    """The greatest id that fulfils a part, or the least, among those that are left."""
    (part,) = filters([shape])
    id_ = unindexed(part.ids)
    return select(func.max(id_) if newest else func.min(id_)).where(*part.found, _left(newest, id_))


def _left(newest: bool, id_: Any) -> Any:
    return id_ <= bindparam("high") if newest else id_ >= bindparam("low")


def walk(newest: bool, shapes: tuple[Shape, ...]) -> Any:
    """Ids from ``low`` to ``high`` on a walk past versions."""
    id_ = VERSIONS.c.id
    chosen = select(id_).where(id_ >= bindparam("low"), id_ <= bindparam("high"), *ask(filters(shapes), id_))
    return chosen.order_by(id_.desc() if newest else id_).limit(bindparam("limit"))


def led(newest: bool, shapes: tuple[Shape, ...], lead: int, few: bool) -> Any:
    """Ids that are left, along the lead's index."""
    parts = filters(shapes)
    place = parts[lead].ids
    order = unindexed(place)  # the range of ids must not look like an index to use: it is nearly all of them
    chosen = select(place).where(_left(newest, order), *parts[lead].found, *_others(parts, lead, few, place))
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
