"""Every catalog: a search finds exactly what the query says, in its order, a page at a time."""

import operator
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.registry.contract.catalog_values import LONG_AGO, digest, hub, loss, put, reading, row, stored

from lorarack.registry import Condition, Metric, Query, State, Version
from lorarack.registry.errors import GateRefused, UsageError
from lorarack.registry.interface import Catalog
from lorarack.registry.queries import Operator

DATA = (digest("data a"), digest("data b"))
OPERATORS: list[Operator] = ["<", "<=", ">", ">=", "="]
COMPARE: dict[Operator, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "=": operator.eq,
}  # fmt: skip
TEXTS = (
    "50%_off", "50xyoff", "it's \"quoted\" \\ back", "Größe of the BOX", "STRASSE", "straße", "İstanbul", "漢字\U0001f600",
    "a\x1fb\x1a",
)  # fmt: skip


@pytest.fixture
def stocked(catalog: Catalog) -> list[Version]:
    """Seventy versions of four adapters over two bases, oldest first."""
    catalog.add_base("ann", reading("other"), "other", "other", hub("org/other"), use=True)
    chance = random.Random(3)
    rows = []
    for turn in range(70):
        adapter, base = chance.choice([("support", "tiny"), ("acme/a", "tiny"), ("acme/b", "other"), ("acme", "other")])
        metrics = [loss(chance.randrange(6) / 4, step=step) for step in (None, 10) if chance.random() < 0.7]
        metrics += [Metric(name="exact", split="test", value=chance.randrange(3), higher_is_better=True)] * (turn % 2)
        made = row(
            turn + 1, str(turn), adapter=adapter, base=base, rank=chance.choice([4, 8, 16]), metrics=metrics,
            state=chance.choice([State.READY] * 4 + [State.ARCHIVED, State.QUARANTINED]),
            tags={key: chance.choice(TEXTS) for key in ("note", "team") if chance.random() < 0.6},
            description=chance.choice([None, *TEXTS]),
        )  # fmt: skip
        rows.append(replace(made, created_at=LONG_AGO + timedelta(hours=chance.randrange(100))))
    catalog.import_versions("ann", rows, {}, stored)
    found = [version for name in catalog.adapter_names() for version in _view(catalog, name)]
    assert len(found) == 70
    return sorted(found, key=lambda version: version.engine_id)


def _view(catalog: Catalog, name: str) -> Sequence[Version]:
    view = catalog.adapter(name)
    assert view is not None
    return view.versions


def _random_query(chance: random.Random) -> Query:
    def maybe(*values: Any) -> Any:
        return chance.choice(values) if chance.random() < 0.25 else None

    labels, values = ("eval_loss", "test/exact"), [turn / 4 for turn in range(5)]
    conditions = [
        Condition(label=chance.choice(labels), operator=chance.choice(OPERATORS), value=chance.choice(values))
        for _ in range(chance.choice([0, 0, 0, 1, 2]))
    ]
    return Query(
        base=maybe("tiny", "other", "nothing"),
        adapter=maybe("acme", "acme*", "acme/a", "*", "s*", "nobody"),
        rank_min=maybe(5, 8, 2**31),
        rank_max=maybe(4, 8, 16),
        metrics=tuple(conditions),
        tags=tuple(filter(None, [maybe("note", "team", "nothing"), maybe(*(f"note={text}" for text in TEXTS))])),
        state=maybe(*State),
        text=maybe(*TEXTS, "%", "_", "\\", "'", '"', "ss", "SS", "größe", "box", "i", "acme", "\x1f", "\x1a", "\x1e"),
        since=maybe(LONG_AGO, LONG_AGO + timedelta(hours=50)),
        until=maybe(LONG_AGO + timedelta(hours=50), LONG_AGO + timedelta(days=400_000)),
        order=chance.choice(["newest", "oldest", "eval_loss", "test/exact"]),
        limit=chance.choice([5, 20, 1000]),
    )


def _fulfils(query: Query, found: Version) -> bool:
    name = query.adapter or "*"
    texts = (found.adapter, found.description or "", *found.tags.values())
    tags = [tag.partition("=") for tag in query.tags]
    return all((
        query.base in (None, found.base),
        found.adapter.startswith(name[:-1]) if name.endswith("*") else found.adapter == name,
        (query.rank_min or 0) <= found.rank <= (query.rank_max or 2**31),
        query.state in (None, found.state),
        query.since is None or found.created_at >= query.since,
        query.until is None or found.created_at < query.until,
        all(key in found.tags and (not equals or found.tags[key] == value) for key, equals, value in tags),
        all(_compares(condition, found) for condition in query.metrics),
        query.text is None or any(query.text.casefold() in text.casefold() for text in texts),
    ))  # fmt: skip


def _value(found: Version, label: str) -> float | None:
    name, split = ("loss", "validation") if label == "eval_loss" else ("exact", "test")
    metric = found.metric(name, split)
    return metric.value if metric else None


def _compares(condition: Condition, found: Version) -> bool:
    value = _value(found, condition.label)
    return value is not None and COMPARE[condition.operator](value, condition.value)


def _ordered(query: Query, found: list[Version]) -> list[Version]:
    if query.order in ("newest", "oldest"):
        return found[::-1] if query.order == "newest" else found
    valued = [(value, version) for version in found if (value := _value(version, query.order)) is not None]
    sign = 1 if query.order == "eval_loss" else -1
    return [version for _, version in sorted(valued, key=lambda pair: (sign * pair[0], sign * pair[1].engine_id))]


def _walk(catalog: Catalog, query: Query) -> list[Version]:
    found: list[Version] = []
    page = catalog.search(query)
    while True:
        found += page.versions
        assert len(page.versions) == query.limit or page.next is None
        if page.next is None:
            return found
        page = catalog.search(query.model_copy(update={"cursor": page.next}))


@pytest.mark.parametrize("seed", range(2))
def test_it_finds_what_the_query_says(catalog: Catalog, stocked: list[Version], seed: int) -> None:
    """Each filter and order, alone and together, over all pages."""
    chance = random.Random(seed)
    sizes = set()
    for _ in range(100):
        query = _random_query(chance)
        wanted = _ordered(query, [version for version in stocked if _fulfils(query, version)])
        found = _walk(catalog, query)
        assert [version.reference for version in found] == [version.reference for version in wanted], query
        assert found == wanted
        sizes.add(len(found))
    assert len(sizes) > 10


@pytest.mark.parametrize(
    "cursor", ["", "x", "oldest:1", "newest:", "newest:1;", "eval_loss:up:0x1.8p+0:1@", "newest:" + "9" * 19]
)
def test_a_cursor_of_another_search_is_refused(catalog: Catalog, cursor: str) -> None:
    put(catalog)
    if not cursor:
        assert len(catalog.search(Query(cursor=cursor)).versions) == 1
        return
    with pytest.raises(UsageError) as raised:
        catalog.search(Query(cursor=cursor))
    assert raised.value.code == "bad_cursor"


def test_what_is_published_between_two_pages_moves_nothing(catalog: Catalog) -> None:
    for turn in range(6):
        put(catalog, metrics=[loss(turn % 2)])
    for order, wanted in (("newest", [6, 5, 4, 3, 2, 1]), ("eval_loss", [1, 3, 5, 2, 4, 6])):
        first = catalog.search(Query(order=order, limit=3))
        late = put(catalog, metrics=[loss(-1.0 if order == "eval_loss" else 0.0)])
        second = catalog.search(Query(order=order, limit=3, cursor=first.next))
        assert [version.number for version in (*first.versions, *second.versions)] == wanted
        catalog.delete_version("ann", "support", late.number)


def test_the_newest_value_counts_and_points_of_curves_do_not(catalog: Catalog) -> None:
    put(catalog, metrics=[loss(0.9), loss(0.1, step=5)])
    low = Query(metrics=(Condition(label="eval_loss", operator="<", value=0.5),))
    assert catalog.search(low).versions == ()
    catalog.add_metrics("ann", "support", 1, [loss(0.4), loss(0.8, step=6)])
    (found,) = catalog.search(low).versions
    assert [metric.value for metric in found.metrics] == [0.9, 0.4]
    assert catalog.search(low.model_copy(update={"order": "train_loss"})).versions == ()


def test_values_on_different_data_are_not_ranked_together(catalog: Catalog) -> None:
    for value, data in ((0.5, DATA[0]), (0.4, DATA[1]), (0.3, DATA[1]), (0.2, None)):
        put(catalog, metrics=[loss(value, dataset=data)])
    with pytest.raises(GateRefused, match="data"):
        catalog.search(Query(order="eval_loss"))

    def numbers(dataset: str) -> list[int]:
        return [found.number for found in catalog.search(Query(order="eval_loss", dataset=dataset)).versions]

    assert numbers(DATA[1][:20]) == numbers(DATA[1].removeprefix("sha256:")[:9]) == [4, 3, 2]
    assert numbers(DATA[0]) == [4, 1]
    assert numbers("none") == [4]
    low = Condition(label="eval_loss", operator="<", value=0.45)
    on = Query(metrics=(low,), dataset=DATA[1], order="oldest")
    assert [found.number for found in catalog.search(on).versions] == [2, 3]
    for wanted in ("sha256:%", "_", "nothing"):
        with pytest.raises(GateRefused):
            catalog.search(Query(order="eval_loss", dataset=wanted))


def test_the_best_version(catalog: Catalog) -> None:
    assert catalog.best("support", "eval_loss") is None
    for rank, value in ((8, 0.3), (4, 0.3), (4, 0.3), (4, 0.1)):
        put(catalog, rank=rank, metrics=[loss(value)])
    put(catalog)
    catalog.set_state("ann", "support", 4, State.ARCHIVED, None)
    found = catalog.best("support", "eval_loss")
    assert found is not None
    assert (found.version.number, found.metric.value, found.dataset, found.lacking) == (2, 0.3, None, 1)
    catalog.add_metrics("ann", "support", 1, [loss(0.9, dataset=DATA[0])])
    catalog.add_metrics("ann", "support", 3, [loss(0.8, dataset=DATA[0]), loss(0.7, dataset=DATA[1])])
    found = catalog.best("support", "eval_loss", DATA[0])
    assert found is not None
    assert (found.version.number, found.dataset, found.unnamed) == (2, DATA[0], 1)
    with pytest.raises(GateRefused):
        catalog.best("support", "eval_loss", "nothing")
