"""Every catalog: many write and read at once; nothing is lost, given out twice or waited for in vain."""

import threading
import time
from collections.abc import Callable

import pytest
from tests.registry.contract.catalog_values import added, loss, new, put, row, stored, version
from tests.registry.contract.catalogs import Opener

from lorarack.registry import Event, Query
from lorarack.registry.errors import Conflict
from lorarack.registry.interface import Catalog

WRITERS, EACH = 4, 12


def together(*works: Callable[[], None]) -> None:
    """Run all at once; what one raises is raised here."""
    errors: list[BaseException] = []

    def run(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - it is raised below
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads)
    if errors:
        raise errors[0]


def test_writers_get_numbers_of_their_own(catalog: Catalog, open_catalog: Opener) -> None:
    """Of one instance and of several; one content is one version; no move of an alias is lost; followers miss no event."""
    instances = [catalog, catalog, open_catalog(), open_catalog()]
    own: list[int] = []
    created: list[bool] = []
    moves: list[int] = []
    followed: list[Event] = []
    finished: list[int] = []
    put(catalog)

    def write(writer: int) -> Callable[[], None]:
        def work() -> None:
            for turn in range(EACH):
                number, _ = added(instances[writer], "w", new(content=f"{writer} {turn}"))
                own.append(number)
                metrics = [loss(0.5), loss(turn + writer / 10)]
                shared = new("shared", f"shared {turn}", metrics=metrics, tags={f"by{writer}": "x"})
                created.append(instances[writer].add_version("w", shared, stored)[1])
                there = instances[writer].aliases("support")[0].version
                try:
                    instances[writer].set_alias("w", "support", "default", number, expect=there)
                    moves.append(number)
                except Conflict:
                    continue
            finished.append(writer)

        return work

    def follow() -> None:
        reader, cursor = open_catalog(), 0
        while len(finished) < WRITERS or reader.last_event_id() > cursor:
            found = reader.events(cursor, 7)
            followed.extend(found)
            cursor = found[-1].cursor if found else cursor

    together(*(write(writer) for writer in range(WRITERS)), follow)
    assert sorted(own) == list(range(2, WRITERS * EACH + 2))
    assert sum(created) == EACH
    view = catalog.adapter("shared")
    assert view is not None
    assert len(view.versions) == EACH
    assert all(len(found.tags) == WRITERS and len(found.metrics) == WRITERS + 1 for found in view.versions)
    history = catalog.alias_moves("support", "default")
    assert [move.previous for move in history] == [None, *(move.version for move in history[:-1])]
    assert sorted(move.version for move in history) == sorted([1, *moves])
    assert followed == list(catalog.events(0, 10_000))


def test_a_snapshot_is_of_one_moment(catalog: Catalog, open_catalog: Opener) -> None:
    """What it says of its number is what everybody says of it, while others write."""
    put(catalog)
    snapshots, done = [catalog.snapshot()], threading.Event()

    def write() -> None:
        other = open_catalog()
        for turn in range(40):
            number, _ = added(other, "w", new(content=f"new {turn}"))
            other.set_alias("w", "support", "default", number)
        done.set()

    def follow() -> None:
        while not done.is_set():
            snapshots.append(catalog.snapshot(snapshots[-1]))
            whole = catalog.snapshot()
            assert len(whole.adapters["support"].versions) - whole.resolve("support").number in (0, 1)

    together(write, follow)
    for snapshot in snapshots:
        events = catalog.events(0, snapshot.changes)
        numbers = [event.version for event in events if event.kind == "published" and event.cursor <= snapshot.changes]
        assert [found.number for found in snapshot.versions] == numbers


def test_readers_wait_for_no_writer(catalog: Catalog, open_catalog: Opener) -> None:
    """Not even where more threads of their process wait to write than a pool has connections."""
    put(catalog)
    moves = [threading.Thread(target=catalog.set_alias, args=("w", "support", f"a{turn}", 1)) for turn in range(25)]

    def work() -> None:
        for move in moves:
            move.start()
        time.sleep(0.3)
        began, used = time.monotonic(), time.process_time()
        for _ in range(10):
            assert version(catalog, "support", 1).aliases == ("default",)
            assert len(catalog.search(Query()).versions) == 1
            time.sleep(0.02)
        assert time.monotonic() - began < 20
        assert time.process_time() - used < 2, "those who wait use the processor"

    open_catalog().exclusively(work)
    for move in moves:
        move.join(60)
    assert len(catalog.aliases("support")) == 26


def test_a_writer_that_fails_undoes_all_and_holds_up_nobody(catalog: Catalog, open_catalog: Opener) -> None:
    """Whatever it wrote before, and whatever was raised."""
    put(catalog, "other")
    before = (catalog.last_event_id(), catalog.adapter_names(), catalog.snapshot())
    asked: list[str] = []

    def fail(digest: str) -> bool:
        asked.append(digest)
        if len(asked) > 3:
            raise KeyboardInterrupt
        return True

    with pytest.raises(KeyboardInterrupt):
        catalog.import_versions("w", [row(1, "a"), row(2, "b")], {}, fail)
    assert (catalog.last_event_id(), catalog.adapter_names(), catalog.snapshot()) == before
    put(open_catalog(), "other")
    put(catalog, "other")
