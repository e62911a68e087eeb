"""Search finds exactly what the words of the query say, in a stable order, a page at a time."""

import operator
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, insert, update
from tests.registry.parts import database_of
from tests.registry.settable_clock import SettableClock
from tests.registry.shelf import Shelf
from tests.tiny import tiny_adapter, tiny_base

from lorarack.registry import Condition, Metric, Query, Registry, State, Version, open_registry, parse_condition
from lorarack.registry.catalog.metrics import update_latest
from lorarack.registry.catalog.new_version import update_text
from lorarack.registry.catalog.schema import ADAPTERS, METRICS, TAGS, VERSIONS
from lorarack.registry.queries import parse_label

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
COUNT = 150


@pytest.fixture(scope="module")
def stocked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry with two bases, some adapters, and hundreds of versions written straight into the catalog."""
    root = tmp_path_factory.mktemp("stocked")
    with open_registry(root / "home") as registry:
        registry.add_base(str(tiny_base(root / "tiny")), "tiny")
        registry.add_base(str(tiny_base(root / "tuned", seed=1)), "tuned")
        for number, (name, base) in enumerate(
            [("support", "tiny"), ("acme/a", "tiny"), ("acme/b", "tuned"), ("z", "tuned")]
        ):
            registry.publish(tiny_adapter(root / f"v{number}", seed=number), name, base=base)
        _fill(registry)
        yield registry


def _fill(registry: Registry) -> None:
    chance = random.Random(7)
    (model,) = registry.versions("support")
    like = model.model_dump(include={"alpha", "rslora", "dtype", "parameters", "bytes", "created_by"})
    like |= {"files": [file.to_json() for file in model.files], "target_modules": list(model.target_modules)}
    with database_of(registry).writer.begin() as connection:
        adapters = list(connection.scalars(ADAPTERS.select().with_only_columns(ADAPTERS.c.id)))
        for row in range(100, 100 + COUNT):
            state = chance.choice(["ready"] * 5 + ["archived", "quarantined"])
            connection.execute(
                insert(VERSIONS).values(
                    id=row, number=row, adapter_id=chance.choice(adapters), digest=f"sha256:{row:064x}",
                    rank=chance.choice([4, 8, 16, 64]), state=state, description=chance.choice([None, "Größe of the BOX", "plain"]),
                    created_at=BEGIN + timedelta(hours=row), **like,
                )
            )  # fmt: skip
            for key, value in (("team", chance.choice("abc")), ("note", chance.choice(["50%_off", "x"]))):
                if chance.random() < 0.8:
                    connection.execute(insert(TAGS).values(version_id=row, key=key, value=value))
            for name, split, step in (
                ("loss", "validation", None),
                ("loss", "validation", 10),
                ("exact", "test", None),
            ) * 2:
                if chance.random() < 0.6:
                    number = chance.randrange(8) / 8
                    connection.execute(
                        insert(METRICS).values(
                            version_id=row,
                            name=name,
                            split=split,
                            step=step,
                            value=number,
                            higher_is_better=name == "exact",
                        )
                    )
        connection.execute(update(ADAPTERS).values(next_number=1000))
    versions = [version for name in registry.adapters() for version in registry.versions(name.name)]

    def keep(connection: Connection) -> None:
        """What publishing and describing would have kept for searching."""
        for version in versions:
            update_latest(connection, version.engine_id, version.metrics)
            update_text(connection, version.engine_id)

    database_of(registry).write(keep)


@pytest.fixture(scope="module")
def all_there(stocked: Registry) -> list[Version]:
    return sorted((v for a in stocked.adapters() for v in stocked.versions(a.name)), key=lambda v: v.engine_id)


def fulfils(version: Version, query: Query) -> bool:
    """What the words of the query mean, in plain Python."""
    text = (query.text or "").casefold()
    texts = [version.adapter, version.description or "", *version.tags.values()]
    name = query.adapter or "*"
    tags = {*version.tags, *(f"{key}={value}" for key, value in version.tags.items())}
    return (
        query.base in (None, version.base)
        and (version.adapter.startswith(name[:-1]) if name.endswith("*") else version.adapter == name)
        and (query.rank_min or 0) <= version.rank <= (query.rank_max or 10**9)
        and all(_compared(version, condition) for condition in query.metrics)
        and set(query.tags) <= tags
        and query.state in (None, version.state)
        and any(text in found.casefold() for found in texts)
        and (query.since is None or version.created_at >= query.since)
        and (query.until is None or version.created_at < query.until)
    )


def _compared(version: Version, condition: Condition) -> bool:
    metric = version.metric(*parse_label(condition.label))
    if metric is None:
        return False
    compare = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "=": operator.eq}
    return bool(compare[condition.operator](metric.value, condition.value))


def in_order(versions: list[Version], order: str) -> list[str]:
    if order in ("newest", "oldest"):
        return [v.reference for v in (versions if order == "oldest" else reversed(versions))]
    label = parse_label(order)
    measured = [(metric.value, v.engine_id, v.reference) for v in versions if (metric := v.metric(*label))]
    return [reference for *_, reference in sorted(measured, reverse=order == "test/exact")]


def all_pages(registry: Registry, query: Query) -> list[str]:
    found: list[str] = []
    while True:
        page = registry.search(query)
        assert len(page.versions) <= query.limit
        assert page.versions or page.next is None
        found += [version.reference for version in page.versions]
        assert len(found) <= COUNT + 10, "pages overlap"
        if page.next is None:
            return found
        query = query.model_copy(update={"cursor": page.next})


MOMENTS = st.none() | st.integers(80, 520).map(lambda hours: BEGIN + timedelta(hours=hours))
CONDITIONS = st.builds(
    Condition,
    label=st.sampled_from(["eval_loss", "test/exact"]),
    operator=st.sampled_from(["<", "<=", ">", ">=", "="]),
    value=st.sampled_from([0.0, 0.25, 0.5, 0.875]),
)
QUERIES = st.builds(
    Query,
    base=st.sampled_from([None, None, "tiny", "tuned"]),
    adapter=st.sampled_from([None, None, "support", "acme/a", "acme/*", "*", "nowhere/*"]),
    rank_min=st.sampled_from([None, None, 4, 8, 65]),
    rank_max=st.sampled_from([None, None, 8, 16]),
    metrics=st.lists(CONDITIONS, max_size=2).map(tuple),
    tags=st.lists(st.sampled_from(["team", "team=a", "team=z", "note=50%_off"]), max_size=2).map(tuple),
    state=st.sampled_from([None, None, *State]),
    text=st.sampled_from([None, None, None, "GRÖSSE", "größe", "%_O", "acme", "box", "e", "~"]),
    since=MOMENTS,
    until=MOMENTS,
    order=st.sampled_from(["newest", "oldest", "eval_loss", "test/exact", "never/measured"]),
    limit=st.sampled_from([7, 50, 1000]),
)


@settings(max_examples=180, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(query=QUERIES)
def test_it_finds_what_the_query_says(stocked: Registry, all_there: list[Version], query: Query) -> None:
    """Page by page, as a look at every version would."""
    meant = [version for version in all_there if fulfils(version, query)]
    assert all_pages(stocked, query) == in_order(meant, query.order)


def test_a_version_comes_whole_but_for_its_curves(shelf: Shelf) -> None:
    version = shelf.put(loss=0.5, tags={"a": "b"})
    point = Metric(name="loss", split="validation", value=1, step=1)
    shelf.registry.add_metrics("support@1", [point])
    (found,) = shelf.registry.search(Query()).versions
    assert found == version


def test_what_is_published_meanwhile_moves_nothing(shelf: Shelf) -> None:
    for loss in (0.1, 0.2, 0.3, 0.4):
        shelf.put(loss=loss)
    for order, before, behind in (("newest", [4, 3], [2, 1]), ("eval_loss", [1, 2], [3, 4])):
        first = shelf.registry.search(Query(order=order, limit=2))
        assert [version.number for version in first.versions] == before
        late = shelf.put(loss=0.15)
        second = shelf.registry.search(Query(order=order, limit=2, cursor=first.next))
        assert [version.number for version in second.versions] == behind
        assert second.next is None
        shelf.registry.delete(late.reference)


def test_times_need_not_grow_with_ids(shelf: Shelf, clock: SettableClock) -> None:
    """As after an import, or with a clock that was set back: whatever the moment, all that are so old are found, in order."""
    days = [5, 3, 9, 1, 9, 2, 7, 0]
    for day in days:
        clock.offset = BEGIN + timedelta(days=day, hours=1) - datetime.now(UTC)
        shelf.put()
    for day in range(-1, 11):
        moment = BEGIN + timedelta(days=day)
        early = [f"support@{place}" for place, of in enumerate(days, 1) if of < day]
        late = [f"support@{place}" for place, of in enumerate(days, 1) if of >= day]
        assert all_pages(shelf.registry, Query(until=moment, limit=2)) == early[::-1]
        assert all_pages(shelf.registry, Query(until=moment, order="oldest", limit=2)) == early
        assert all_pages(shelf.registry, Query(since=moment, limit=2)) == late[::-1]
        assert all_pages(shelf.registry, Query(since=moment, order="oldest", limit=2)) == late


def test_the_newest_number_of_a_label_counts(shelf: Shelf) -> None:
    shelf.put(loss=0.5)
    shelf.registry.add_metrics("support@1", [Metric(name="loss", split="validation", value=0.3)])
    for text, there in (("eval_loss=0.5", False), ("eval_loss<0.4", True)):
        assert bool(shelf.registry.search(Query(metrics=(parse_condition(text),))).versions) is there


ALIKE = {
    "tag": [Query(tags=(f"n={number}",)) for number in range(4)],
    "two tags": [Query(tags=(f"n={number}", f"even={number % 2}")) for number in range(4)],
    "metric": [Query(metrics=(Condition(label="eval_loss", operator="=", value=number / 4),)) for number in range(4)],
    "metric, sorted by it": [
        Query(metrics=(Condition(label="eval_loss", operator="=", value=number / 4),), order="eval_loss")
        for number in range(4)
    ],
    "rank": [Query(rank_min=4 * number + 4, rank_max=4 * number + 5) for number in range(4)],
    "one rank": [Query(rank_min=4 * number + 4, rank_max=4 * number + 4) for number in range(4)],
    "text": [Query(text=f"short {number}") for number in range(4)],
    "two letters": [Query(text=f"{number}.") for number in range(4)],
    "long text": [Query(text=f"{'x' * 120}{number}") for number in range(4)],
    "adapter": [Query(adapter=f"a{number}") for number in range(4)],
    "adapters": [Query(adapter=f"a{number}*") for number in range(4)],
}


@pytest.mark.parametrize("order", ["newest", "eval_loss"])
@pytest.mark.parametrize("queries", ALIKE.values(), ids=ALIKE)
def test_the_second_query_of_a_shape_gets_its_own_answer(queries: list[Query], order: str, shelf: Shelf) -> None:
    """SQLAlchemy keeps the statement of the first; the values are the second's."""
    for number in range(4):
        tags = {"n": str(number), "even": str(number % 2)}
        words = f"short {number}. {'x' * 120}{number}"
        shelf.put(f"a{number}", rank=4 * number + 4, loss=number / 4, tags=tags, description=words)
    for number, query in enumerate(queries):
        found = shelf.registry.search(
            query.model_copy(update={"order": order if query.order == "newest" else query.order})
        )
        assert [version.adapter for version in found.versions] == [f"a{number}"]


def test_many_parts_at_once(shelf: Shelf) -> None:
    """More than any person would write: each of them counts."""
    many = {f"k{number}": str(number) for number in range(60)}
    shelf.put(loss=0.5, tags=many)
    tags = tuple(f"{key}={value}" for key, value in many.items())
    below = tuple(Condition(label="eval_loss", operator="<", value=1 + number) for number in range(20))
    for order in ("newest", "oldest", "eval_loss"):
        assert len(shelf.registry.search(Query(tags=tags, metrics=below, order=order)).versions) == 1
        for lacking in (
            Query(tags=(*tags[:-1], "k59=60"), metrics=below),
            Query(tags=tags, metrics=(*below[:-1], _never())),
        ):
            assert shelf.registry.search(lacking.model_copy(update={"order": order})).versions == ()


def _never() -> Condition:
    return Condition(label="eval_loss", operator="<", value=0.5)
