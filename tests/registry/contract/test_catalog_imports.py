"""Every catalog: versions of another registry come in together, under their own numbers where those are free."""

from collections.abc import Sequence

import pytest
from tests.registry.contract.catalog_values import LONG_AGO, added, digest, loss, new, put, row, stored, version

from lorarack.registry import State
from lorarack.registry.errors import BlobGone, Conflict
from lorarack.registry.interface import Catalog
from lorarack.registry.records import ImportResult, ImportRow


def add(catalog: Catalog, *rows: ImportRow) -> Sequence[ImportResult]:
    return catalog.import_versions("ann", rows, {}, stored)[0]


def test_versions_come_as_they_were(catalog: Catalog) -> None:
    parent = ("support", digest("version 7"))
    one = row(7, "7", metrics=[loss(0.5)], tags={"a": "b"}, description="d")
    parents = ((parent, "merged"), (("support", digest("nothing")), "merged"))
    two = row(9, "9", parents=parents, state=State.ARCHIVED, state_reason="old")
    assert add(catalog, one, two) == [
        ImportResult(7, created=True, state=State.READY), ImportResult(9, created=True, state=State.ARCHIVED, lost_parents=1),
    ]  # fmt: skip
    found, child = version(catalog, "support", 7), version(catalog, "support", 9)
    assert (found.created_at, found.created_by, found.metrics, found.tags) == (
        LONG_AGO,
        "far@away",
        (loss(0.5),),
        {"a": "b"},
    )
    assert (child.state, child.state_reason, child.parents[0].version) == (State.ARCHIVED, "old", "support@7")
    assert found.aliases == ("default",)
    assert put(catalog).number == 10
    kinds = [(event.kind, event.actor) for event in catalog.events(0, 10)][1:4]
    assert kinds == [("imported", "ann"), ("imported", "ann"), ("alias_moved", "ann")]


def test_numbers_that_were_used_become_the_next(catalog: Catalog) -> None:
    """What is here already stays as it is; a number that was never used is free."""
    put(catalog, content="here")
    put(catalog)
    catalog.delete_version("ann", "support", 2)
    rows = [row(1, "a"), row(2, "b"), row(5, "c"), row(4, "here"), row(4, "d")]
    assert [(result.number, result.created) for result in add(catalog, *rows)] == [
        (6, True), (7, True), (5, True), (1, False), (4, True),
    ]  # fmt: skip
    assert put(catalog).number == 8
    assert [result.created for result in add(catalog, *rows)] == [False] * 5


def test_aliases_are_set_where_they_are_new(catalog: Catalog) -> None:
    put(catalog, content="here")
    key = ("support", digest("version 1"))
    named = {"support": {"default": key, "prod": key, "old": ("support", digest("version 2")), "lost": ("x", key[1])}}
    rows = [row(5, "1"), row(6, "2", state=State.ARCHIVED)]
    _, left = catalog.import_versions("ann", rows, named, stored)
    assert sorted(left) == ["support@default", "support@lost", "support@old"]
    assert [(alias.name, alias.version) for alias in catalog.aliases("support")] == [("default", 1), ("prod", 5)]
    assert sorted(catalog.import_versions("ann", rows, named, stored)[1]) == sorted(left)


def test_all_or_none(catalog: Catalog) -> None:
    put(catalog, "other")
    before = catalog.last_event_id()
    missing = new(content="b").files[0].digest
    with pytest.raises(BlobGone):
        catalog.import_versions("ann", [row(1, "a"), row(2, "b")], {}, lambda one: one != missing)
    with pytest.raises(Conflict):
        add(catalog, row(1, "a"), row(1, "b", adapter="tiny"))
    assert catalog.last_event_id() == before
    assert catalog.adapter_names() == ("other",)


def test_large_numbers(catalog: Catalog) -> None:
    rows = [row(number, str(number)) for number in (999_999_999, 2**31, 2)]
    assert [result.number for result in add(catalog, *rows)] == [999_999_999, 2**31, 2]
    assert added(catalog, "ann", new()) == (2**31 + 1, True)
