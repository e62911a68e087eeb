"""Finding versions: a page at a time, one SELECT of ids per page; and the best one by a metric.

Order is by id, or by a metric and then by id, so pages neither overlap nor leave out. Conditions are lists of ids
(``IN (SELECT …)``), not questions to each version: at 100,000 versions no list takes longer than some tens of milliseconds.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Double, Integer, Select, literal, select, tuple_

from lorarack.registry.catalog.connection import contains
from lorarack.registry.catalog.metrics import (
    count_datasets,
    has_metric,
    higher_is_better,
    of_label,
    on_dataset,
    only_dataset,
)
from lorarack.registry.catalog.new_version import written
from lorarack.registry.catalog.rows import OWNED
from lorarack.registry.catalog.schema import ADAPTERS, BASES, FINISHED, TAGS, TEXTS, VERSIONS
from lorarack.registry.catalog.versions import load_by_ids
from lorarack.registry.errors import UsageError
from lorarack.registry.metrics import by_dataset, choose_dataset, value_on
from lorarack.registry.queries import Best, Page, Query, parse_label
from lorarack.registry.values import Metric, State

_BY_ID = re.compile(r"(newest|oldest):([0-9]{1,18})")
_BY_METRIC = re.compile(r"([^:]+):(up|down):(-?0x[0-9a-f.]+p[+-][0-9]{1,4}):([0-9]{1,18})@(.{0,71})")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a page ended: the last version's id and, in the order of a metric, its value, the direction and the data set."""

    id: int
    value: float = 0.0
    descending: bool = False
    dataset: str | None = None


def search(connection: Connection, query: Query) -> Page:
    """One page; ``query.base`` is a base's name.

    Raises:
        UsageError: a cursor of another order.
        GateRefused: an order by a metric that was measured on several data sets, and none of them is named.
    """
    behind = _read_cursor(query) if query.cursor else None
    wanted = list(_conditions(query))
    if query.order in ("newest", "oldest"):
        found = connection.execute(_by_id(query, wanted, behind).limit(query.limit + 1))
        places = [_Place(row.id) for row in found]
    else:
        descending = behind.descending if behind else higher_is_better(connection, query.order)
        on = _dataset(connection, query, wanted, behind)
        found = connection.execute(_by_metric(query, wanted, behind, descending, on).limit(query.limit + 1))
        places = [_Place(row.version_id, row.value, descending, on or "") for row in found]
    page = places[: query.limit]
    by_id = {each.engine_id: each for each in load_by_ids(connection, [place.id for place in page], curves=False)}
    return Page(
        versions=tuple(by_id[place.id] for place in page),
        next=_cursor(query, page[-1]) if len(places) > len(page) else None,
    )


def best_version(connection: Connection, adapter: str, label: str, wanted: str | None) -> Best | None:
    """The best ready version; of equals the one of the smaller rank, then of the smaller number.

    Raises:
        GateRefused: it is not clear on which data set, or ``wanted`` names none or several.
    """
    name, split = parse_label(label)
    ready = (VERSIONS.c.state == State.READY.value, ADAPTERS.c.name == adapter)
    asked = select(VERSIONS.c.id, VERSIONS.c.rank, VERSIONS.c.number).select_from(OWNED).where(*ready)
    ranks = {row.id: row for row in connection.execute(asked)}
    columns = (FINISHED.c.version_id, FINISHED.c.dataset, FINISHED.c.value, FINISHED.c.higher_is_better)
    its = FINISHED.c.version_id.in_(select(VERSIONS.c.id).select_from(OWNED).where(*ready))
    measured: dict[int, dict[str | None, Metric]] = defaultdict(dict)
    for version_id, dataset, value, higher in connection.execute(select(*columns).where(*of_label(label), its)):
        measured[version_id][dataset or None] = Metric.model_construct(
            name=name, split=split, value=value, step=None, dataset=dataset or None, higher_is_better=higher
        )
    if not measured:
        return None
    counts = Counter(
        dataset for mine in measured.values() for dataset in mine if dataset is not None or wanted == "none"
    )
    on = choose_dataset(counts or {None: len(measured)}, label, wanted, strict=False)
    ranked = {version_id: metric for version_id, mine in measured.items() if (metric := value_on(mine, on))}
    higher_is_better = 2 * sum(metric.higher_is_better for metric in ranked.values()) > len(ranked)
    chosen = min(
        ranked,
        key=lambda each: (
            -ranked[each].value if higher_is_better else ranked[each].value, ranks[each].rank, ranks[each].number
        ),
    )  # fmt: skip
    version = next(load_by_ids(connection, [chosen], curves=False))
    metric = value_on(by_dataset(version.metrics, name, split), on)
    if metric is None:
        return None
    left_out = sorted(ranks[each].number for each in measured if each not in ranked)
    return Best(
        version=version,
        metric=metric,
        dataset=on,
        datasets=len(counts.keys() - {None}),
        unnamed=sum(metric.dataset is None for metric in ranked.values()) if on is not None else 0,
        lacking=len(ranks) - len(measured),
        left_out=tuple(f"{adapter}@{number}" for number in left_out),
    )


def _conditions(query: Query) -> Iterator[ColumnElement[bool]]:
    """What the query asks of a version, all but its order. A new filter goes here."""
    its = VERSIONS.c
    if query.base is not None:
        of_base = select(ADAPTERS.c.id).join_from(ADAPTERS, BASES, BASES.c.id == ADAPTERS.c.base_id)
        yield its.adapter_id.in_(of_base.where(BASES.c.name == query.base))
    if query.adapter not in (None, "*"):
        yield its.adapter_id.in_(select(ADAPTERS.c.id).where(_is_named(str(query.adapter))))
    if query.rank_min is not None:
        yield its.rank >= query.rank_min
    if query.rank_max is not None:
        yield its.rank <= query.rank_max
    if query.state is not None:
        yield its.state == query.state.value
    if query.since is not None:
        yield its.created_at >= query.since
    if query.until is not None:
        yield its.created_at < query.until
    yield from (_has_tag(tag) for tag in query.tags)
    yield from (has_metric(condition, query.dataset) for condition in query.metrics)
    if query.text:
        yield its.id.in_(select(TEXTS.c.version_id).where(contains(TEXTS.c.words, written(query.text))))


def _is_named(name: str) -> ColumnElement[bool]:
    """The name, or with ``*`` its beginning. Names are ASCII, so nothing that begins so lies behind the last character."""
    if not name.endswith("*"):
        return ADAPTERS.c.name == name
    start = name.removesuffix("*")
    return (ADAPTERS.c.name >= start) & (ADAPTERS.c.name < f"{start}\x7f")


def _has_tag(tag: str) -> ColumnElement[bool]:
    key, equals, value = tag.partition("=")
    wanted = [TAGS.c.key == key, *([TAGS.c.value == value] if equals else [])]
    return VERSIONS.c.id.in_(select(TAGS.c.version_id).where(*wanted))


def _by_id(query: Query, wanted: list[ColumnElement[bool]], behind: _Place | None) -> Select[Any]:
    its = VERSIONS.c.id
    newest = query.order == "newest"
    if behind is not None:
        wanted = [*wanted, its < behind.id if newest else its > behind.id]
    return select(its).where(*wanted).order_by(its.desc() if newest else its)


def _dataset(
    connection: Connection, query: Query, wanted: list[ColumnElement[bool]], behind: _Place | None
) -> str | None:
    """The data set to rank on. Raises ``GateRefused``: several have been used, and none is named."""
    if behind is not None and behind.dataset is not None:
        return behind.dataset or None
    if query.dataset is None:
        is_one, dataset = only_dataset(connection, query.order)
        if is_one:
            return dataset
    counts = count_datasets(connection, query.order, wanted)
    if query.dataset != "none" and len(counts) > 1:
        counts.pop(None, None)
    return choose_dataset(counts, query.order, query.dataset, strict=True) if counts else None


def _by_metric(
    query: Query, wanted: list[ColumnElement[bool]], behind: _Place | None, descending: bool, dataset: str | None
) -> Select[Any]:
    value, its = FINISHED.c.value, FINISHED.c.version_id
    found = select(its, value).where(*on_dataset(query.order, dataset))
    if wanted:
        found = found.where(its.in_(select(VERSIONS.c.id).where(*wanted)))
    if behind is not None:
        there = tuple_(literal(behind.value, Double), literal(behind.id, Integer))
        found = found.where(tuple_(value, its) < there if descending else tuple_(value, its) > there)
    return found.order_by(value.desc(), its.desc()) if descending else found.order_by(value, its)


def _cursor(query: Query, place: _Place) -> str:
    if query.order in ("newest", "oldest"):
        return f"{query.order}:{place.id}"
    return f"{query.order}:{'down' if place.descending else 'up'}:{place.value.hex()}:{place.id}@{place.dataset or ''}"


def _read_cursor(query: Query) -> _Place:
    text = query.cursor or ""
    if (found := _BY_ID.fullmatch(text)) and found[1] == query.order:
        return _Place(int(found[2]))
    if (found := _BY_METRIC.fullmatch(text)) and found[1] == query.order:
        try:
            return _Place(int(found[4]), float.fromhex(found[3]), found[2] == "down", found[5])
        except (ValueError, OverflowError):
            pass
    raise UsageError(
        f"{text[:100]!r} is not a cursor of this search; give 'next' of the page before, with the same query.",
        code="bad_cursor",
    )
