"""The directory answers from memory, sees what changes, and asks the catalog at most once for what is not there."""

import asyncio
import logging
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.tiny import tiny_adapter, tiny_base

from lorarack.registry import Registry, Snapshot, open_registry
from lorarack.registry.errors import NotFound, StoreError
from lorarack.server.close_names import CloseNames
from lorarack.server.reference_resolver import ReferenceResolver


class CountingSource:
    """A real registry whose calls are counted; ``broken`` makes it fail as a disk does."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.asked = 0
        self.taken: list[Snapshot | None] = []
        self.broken = False
        self.error: Exception | None = None
        self.hold: threading.Event | None = None

    def snapshot(self, since: Snapshot | None = None) -> Snapshot:
        self.asked += 1
        if self.hold:
            self.hold.wait(10)
        if self.error:
            raise self.error
        if self.broken:
            raise StoreError("The disk failed.")
        found = self.registry.snapshot(since)
        if found is not since:
            self.taken.append(since)
        return found


@pytest.fixture
def source(tmp_path: Path) -> CountingSource:
    registry = open_registry(tmp_path / "home")
    registry.add_base(str(tiny_base(tmp_path / "base")), "tiny")
    registry.publish(tiny_adapter(tmp_path / "one", seed=1), "support", base="tiny")
    return CountingSource(registry)


@pytest.fixture
async def resolver(source: CountingSource) -> ReferenceResolver:
    made = ReferenceResolver(source, base_names=("tiny",))
    await made.refresh()
    return made


async def test_known_references_cost_no_catalog(source: CountingSource, resolver: ReferenceResolver) -> None:
    before = source.asked
    for reference in ("support", "support@1", "support@latest", "support@r4"):
        assert (await resolver.resolve(reference)).number == 1
    assert source.asked == before


async def test_a_version_published_now_answers_now(
    tmp_path: Path, source: CountingSource, resolver: ReferenceResolver
) -> None:
    source.registry.publish(tiny_adapter(tmp_path / "two", seed=2), "support", base="tiny")
    assert (await resolver.resolve("support@2")).number == 2


async def test_a_new_snapshot_is_made_from_the_old_one(
    tmp_path: Path, source: CountingSource, resolver: ReferenceResolver
) -> None:
    """So its cost grows with what has changed, not with the registry."""
    before = resolver.snapshot
    assert source.taken == [None]
    source.registry.publish(tiny_adapter(tmp_path / "two", seed=2), "support", base="tiny")
    await resolver.refresh()
    assert source.taken == [None, before]
    assert resolver.snapshot.find("support", 2) is not None


async def test_a_version_asked_for_too_early_answers_once_it_is_published(
    tmp_path: Path, source: CountingSource, resolver: ReferenceResolver
) -> None:
    """That a name was unknown a moment ago is no answer now."""
    with pytest.raises(NotFound):
        await resolver.resolve("late")
    source.registry.publish(tiny_adapter(tmp_path / "two", seed=2), "late", base="tiny")
    assert (await resolver.resolve("late")).number == 1


async def test_what_is_published_during_a_look_is_seen_by_who_asks_after(
    tmp_path: Path, source: CountingSource, resolver: ReferenceResolver
) -> None:
    """A shared look must have begun after the question: one that was under way may have missed the news."""
    looked, published = threading.Event(), threading.Event()

    class Slow(CountingSource):
        def snapshot(self, since: Snapshot | None = None) -> Snapshot:
            found = super().snapshot(since)
            if since is not None:
                looked.set()
                assert published.wait(10)
            return found

    slow = ReferenceResolver(Slow(source.registry))
    await slow.refresh()
    early = asyncio.create_task(slow.resolve("late"))
    await asyncio.to_thread(looked.wait, 10)
    source.registry.publish(tiny_adapter(tmp_path / "two", seed=2), "late", base="tiny")
    after = asyncio.create_task(slow.resolve("late"))
    await asyncio.sleep(0)
    published.set()
    assert (await after).number == 1
    with pytest.raises(NotFound):
        await early


async def test_unknown_references_asked_for_together_share_looks(
    source: CountingSource, resolver: ReferenceResolver
) -> None:
    """Many clients that ask for wrong names at once do not queue up at the disk: all who wait are answered by the next look."""
    before = source.asked
    answers = await asyncio.gather(*(resolver.resolve(f"nosuch-{n}") for n in range(50)), return_exceptions=True)
    assert all(isinstance(answer, NotFound) for answer in answers)
    assert source.asked <= before + 2


async def test_a_look_that_failed_answers_nobody(source: CountingSource, resolver: ReferenceResolver) -> None:
    source.broken = True
    answers = await asyncio.gather(*(resolver.resolve("nosuch") for _ in range(3)), return_exceptions=True)
    assert all(isinstance(answer, StoreError) for answer in answers)


async def test_near_names_are_sought_once_for_each_snapshot_and_off_the_loop(
    resolver: ReferenceResolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Comparing with ten thousand names takes long; a client that asks in a loop must not repeat it."""
    sought: list[str] = []
    similar = CloseNames._similar

    def noting(self: CloseNames, name: str) -> list[str]:
        assert threading.current_thread() is not threading.main_thread()
        sought.append(name)
        return similar(self, name)

    monkeypatch.setattr(CloseNames, "_similar", noting)
    for _ in range(20):
        with pytest.raises(NotFound):
            await resolver.resolve("nosuch")
    assert sought == ["nosuch"]


async def test_a_name_near_the_base_is_offered(resolver: ReferenceResolver) -> None:
    with pytest.raises(NotFound, match="base model 'tiny'"):
        await resolver.resolve("tinny")


async def test_following_sees_a_moved_alias_and_survives_a_failing_disk(
    tmp_path: Path, source: CountingSource, resolver: ReferenceResolver
) -> None:
    """While the catalog cannot be read the old snapshot serves; afterwards the news arrives."""
    seen: list[int] = []
    following = asyncio.create_task(resolver.follow(lambda _, snapshot: seen.append(snapshot.changes), seconds=0.01))
    source.broken = True
    source.registry.publish(tiny_adapter(tmp_path / "two", seed=2), "support", base="tiny")
    source.registry.set_alias("support", "default", 2)
    await asyncio.sleep(0.1)
    assert (await resolver.resolve("support")).number == 1
    assert seen == []
    source.broken = False
    for _ in range(1000):
        await asyncio.sleep(0.01)
        if seen:
            break
    assert (await resolver.resolve("support")).number == 2
    following.cancel()


async def test_following_survives_what_nobody_foresaw(
    tmp_path: Path, source: CountingSource, resolver: ReferenceResolver, caplog: pytest.LogCaptureFixture
) -> None:
    """In reading the catalog, and in what is told of it: said once, and the news arrives afterwards."""
    seen: list[int] = []
    fault: list[Exception] = [ZeroDivisionError("odd")]

    def changed(_: Snapshot, snapshot: Snapshot) -> None:
        if fault:
            raise fault[0]
        seen.append(snapshot.changes)

    with caplog.at_level(logging.INFO, "lorarack"):
        following = asyncio.create_task(resolver.follow(changed, seconds=0.01))
        source.error = MemoryError("no room")
        await until(lambda: "no room" in caplog.text)
        source.error = None
        source.registry.publish(tiny_adapter(tmp_path / "two", seed=2), "support", base="tiny")
        await until(lambda: any("odd" in record.getMessage() for record in caplog.records))
        await asyncio.sleep(0.1)
        fault.clear()
        await until(lambda: bool(seen))
        assert not following.done()
        await until(lambda: "Recovered" in caplog.text)
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(said) == len(set(said)) == 2
    assert "MemoryError: no room" in said[0]
    assert all(record.exc_info for record in caplog.records if record.levelno == logging.WARNING)
    following.cancel()


async def test_a_catalog_that_is_not_read_is_noticed(source: CountingSource, resolver: ReferenceResolver) -> None:
    following = asyncio.create_task(resolver.follow(lambda *_: None, seconds=0.01))
    await until(lambda: resolver.age < 0.1)
    source.error = StoreError("The disk failed.")
    await until(lambda: resolver.age > 0.2)
    following.cancel()


async def test_a_request_does_not_wait_for_ever_for_a_catalog_that_hangs(
    source: CountingSource, resolver: ReferenceResolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lorarack.server.reference_resolver.REFRESH_TIMEOUT", 0.05)
    let_go = threading.Event()
    source.hold = let_go
    with pytest.raises(StoreError, match="does not answer"):
        await resolver.resolve("nosuch")
    assert (await resolver.resolve("support")).number == 1
    let_go.set()


async def until(true: Callable[[], bool]) -> None:
    for _ in range(1000):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to pass")
