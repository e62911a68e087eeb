"""A statement that is written once gives with each query's values what a statement of its own would."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import Connection, bindparam, insert, select
from tests.registry.shelf import Shelf

from lorarack.registry import Condition, Query
from lorarack.registry.catalog.database import Database
from lorarack.registry.catalog.prepared import Prepared, prepared, read_json
from lorarack.registry.catalog.tables import EVENTS

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    """A catalog with one event each hour from noon on, the last two without an adapter."""
    database = Database(tmp_path / "catalog.sqlite")
    rows: list[dict[str, Any]] = [
        {"at": NOON + timedelta(hours=hour), "actor": "me", "kind": "k", "adapter": None if hour > 2 else f"a{hour}", "detail": {}}
        for hour in range(5)
    ]  # fmt: skip
    with database.writer.begin() as writing:
        writing.execute(insert(EVENTS), rows)
    with database.reading() as reading:
        yield reading
    database.close()


def _by_time() -> Any:
    return select(EVENTS.c.at).where(EVENTS.c.at >= bindparam("since"), EVENTS.c.at < bindparam("until"))


def _constant(at: datetime, most: int) -> Any:
    return select(EVENTS.c.id).where(EVENTS.c.at > at).order_by(EVENTS.c.id).limit(most)


def _of(adapter_is: str) -> Any:
    adapter: Any = bindparam("adapter")
    return select(EVENTS.c.id).where(
        EVENTS.c.adapter.is_(adapter) if adapter_is == "same" else EVENTS.c.adapter.is_not(adapter)
    )


def test_moments_are_converted_on_the_way_in_and_out(connection: Connection) -> None:
    """In any zone."""
    elsewhere = NOON.astimezone(timezone(timedelta(hours=-7)))
    found = Prepared(_by_time).scalars(
        connection, since=elsewhere + timedelta(hours=1), until=NOON + timedelta(hours=3)
    )
    assert found == [NOON + timedelta(hours=1), NOON + timedelta(hours=2)]
    assert all(moment.tzinfo is UTC for moment in found)


def test_none_is_a_value(connection: Connection) -> None:
    assert prepared(_of, "same").scalars(connection, adapter=None) == [4, 5]
    assert prepared(_of, "same").scalars(connection, adapter="a1") == [2]
    assert prepared(_of, "other").scalars(connection, adapter=None) == [1, 2, 3]
    assert Prepared(_by_time).rows(connection, since=NOON, until=None) == []


def test_values_that_the_statement_has_are_converted_too(connection: Connection) -> None:
    assert prepared(_constant, NOON, 2).scalars(connection) == [2, 3]
    assert prepared(_constant, NOON + timedelta(hours=3), 2).scalars(connection) == [5]


def test_what_is_not_given_is_not_made_up(connection: Connection) -> None:
    with pytest.raises(KeyError):
        Prepared(_by_time).rows(connection, since=NOON)


def test_few_statements_are_kept(connection: Connection) -> None:
    kept = prepared.cache_info().maxsize
    assert kept is not None
    for most in range(kept + 10):
        assert len(prepared(_constant, NOON, most).scalars(connection)) == min(most, 4)
    assert prepared.cache_info().currsize == kept


QUERIES = {
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
@pytest.mark.parametrize("queries", QUERIES.values(), ids=QUERIES)
def test_the_second_query_of_a_shape_gets_its_own_answer(queries: list[Query], order: str, shelf: Shelf) -> None:
    """And from the statements of the first."""
    for number in range(4):
        tags = {"n": str(number), "even": str(number % 2)}
        words = f"short {number}. {'x' * 120}{number}"
        shelf.put(f"a{number}", rank=4 * number + 4, loss=number / 4, tags=tags, description=words)
    for number, query in enumerate(queries):
        before = prepared.cache_info().misses
        found = shelf.registry.search(
            query.model_copy(update={"order": order if query.order == "newest" else query.order})
        )
        assert [version.adapter for version in found.versions] == [f"a{number}"]
        assert number == 0 or prepared.cache_info().misses == before


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


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(value=ANY_JSON, ascii_only=st.booleans())
@example(value={"half": "\ud800", "large": 10**400, "small": 5e-324, "zero": -0.0}, ascii_only=True)
def test_json_is_read_as_python_reads_it(value: Any, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert repr(read_json(text)) == repr(json.loads(text))


@pytest.mark.parametrize("text", ["", "{", "[1,]", "nul"])
def test_what_is_no_json_is_refused_as_python_refuses_it(text: str) -> None:
    with pytest.raises(json.JSONDecodeError):
        read_json(text)
