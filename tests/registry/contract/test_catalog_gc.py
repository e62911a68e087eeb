"""Every catalog: what may be collected, which files are referred to, and that nothing is written meanwhile."""

import threading
import time

import pytest
from tests.registry.contract.catalog_values import digest, new, put, row, stored
from tests.registry.contract.catalogs import Opener

from lorarack.registry import Parent, State
from lorarack.registry.interface import Catalog
from lorarack.registry.queries import GcItem, GcReport


def removed(catalog: Catalog) -> list[str]:
    return [item.name for item in catalog.gc_plan() if item.removed]


def test_the_plan_names_each_version_children_first(catalog: Catalog) -> None:
    """Where a child goes its parent may follow."""
    for number in range(1, 6):
        parents = [Parent(version=f"support@{number - 1}", relation="continued")] if number > 2 else []
        put(catalog, parents=parents)
    for number in (2, 3, 4):
        catalog.set_state("ann", "support", number, State.ARCHIVED, None)
    plan = catalog.gc_plan()
    assert [item.name for item in plan] == [f"support@{number}" for number in (5, 4, 3, 2, 1)]
    assert {item.kind for item in plan} == {"version"}
    assert "parent of support@5" in plan[1].reason
    assert removed(catalog) == []
    catalog.set_state("ann", "support", 5, State.ARCHIVED, None)
    assert removed(catalog) == ["support@5", "support@4", "support@3", "support@2"]
    assert catalog.prune("ann", [("support", 5), ("support", 4), ("support", 1), ("support", 9), ("x", 1)]) == [
        ("support", 5), ("support", 4),
    ]  # fmt: skip
    assert [event.kind for event in catalog.events(0, 100)][-2:] == ["deleted", "deleted"]
    assert removed(catalog) == ["support@3", "support@2"]
    catalog.prune("ann", [("support", 3), ("support", 2)])
    assert [item.name for item in catalog.gc_plan()] == ["support@1"]


def test_references_are_the_files_of_versions(catalog: Catalog) -> None:
    for content in ("1", "2", "3"):
        put(catalog, content=content)
    files = {content: {file.digest for file in new(content=content).files} for content in "1234"}
    everything = catalog.references()
    assert everything.digests == files["1"] | files["2"] | files["3"]
    assert catalog.references(without=[("support", 2), ("x", 1)]).digests == files["1"] | files["3"]
    assert catalog.references(newer_than=everything.newest).digests == frozenset()
    put(catalog, content="4")
    newer = catalog.references(newer_than=everything.newest)
    assert newer.digests == files["4"]
    assert newer.newest > everything.newest


def test_many_references(catalog: Catalog) -> None:
    catalog.import_versions("ann", [row(turn + 1, str(turn)) for turn in range(300)], {}, stored)
    assert len(catalog.references().digests) == 600
    assert digest("adapter_config.json 299") in catalog.references().digests


def test_nothing_is_written_meanwhile(catalog: Catalog, open_catalog: Opener) -> None:
    """Reading goes on; a writer of another instance waits, and is not lost."""
    other = open_catalog()
    put(catalog)
    order: list[str] = []

    def write() -> None:
        other.add_version("bob", new(content="late"), lambda _: order.append("asked") is None)  # type: ignore[func-returns-value]

    def work() -> None:
        writer.start()
        time.sleep(0.3)
        assert other.last_event_id() == catalog.last_event_id() == before
        assert len(catalog.references().digests) == 2
        order.append("worked")

    before, writer = catalog.last_event_id(), threading.Thread(target=write)
    catalog.exclusively(work)
    writer.join(30)
    assert order[:2] == ["worked", "asked"]
    assert catalog.references().digests >= {file.digest for file in new(content="late").files}


def test_work_that_fails_lets_go(catalog: Catalog, open_catalog: Opener) -> None:
    with pytest.raises(ZeroDivisionError):
        catalog.exclusively(lambda: print(1 / 0))
    put(open_catalog())
    catalog.exclusively(lambda: None)
    put(catalog)


def test_what_was_collected_is_an_event(catalog: Catalog) -> None:
    items = (
        GcItem(kind="version", name="support@1", removed=True, reason="because"),
        GcItem(kind="blob", name=digest("x"), removed=True, reason="because", bytes=2**40),
    )
    catalog.record_gc("ann", GcReport(dry_run=False, grace_seconds=0, items=items))
    (event,) = catalog.events(catalog.last_event_id() - 1, 10)
    assert (event.kind, event.actor) == ("collected", "ann")
    assert event.detail == {
        "versions": 1,
        "blobs": 1,
        "leftovers": 0,
        "evaluations": 0,
        "experiments": 0,
        "freed": 2**40,
    }
