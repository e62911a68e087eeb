"""What a server has loaded is held in the registry for as long as it is loaded, and serving never waits for that."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from tests.tiny import tiny_adapter, tiny_base

from lorarack.registry import Registry, Version, open_registry
from lorarack.registry.errors import Conflict, StoreError
from lorarack.server.leases import Leases, holder_name

HOLDER = "host:8000/1"


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    """Versions 1 (default), 2 and 3 of ``support``."""
    with open_registry(tmp_path / "home") as opened:
        opened.add_base(str(tiny_base(tmp_path / "base")), "tiny")
        for seed in range(3):
            opened.publish(tiny_adapter(tmp_path / f"{seed}", seed=seed), "support", base="tiny")
        yield opened


class CountingRegistrar:
    """A real registry whose calls are counted; ``broken`` makes it fail as a disk does."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.leased = 0
        self.broken = False

    def lease(self, versions: Sequence[Version], holder: str, seconds: float) -> None:
        self.leased += 1
        if self.broken:
            raise StoreError("The disk is read-only.")
        self.registry.lease(versions, holder, seconds)

    def release(self, holder: str, version: Version | None = None) -> None:
        self.registry.release(holder, version)


async def until(true: Callable[[], bool]) -> None:
    for _ in range(500):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to pass")


async def stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def why_held(registry: Registry, reference: str) -> str:
    """Why a version cannot go; empty when it can."""
    items = {item.name: item for item in registry.gc(dry_run=True).items}
    return "" if items[reference].removed else items[reference].reason


async def test_what_is_loaded_cannot_be_deleted_until_the_server_drops_it_or_ends(registry: Registry) -> None:
    registry.archive("support@2")
    registry.archive("support@3")
    _, second, third = registry.versions("support")
    loaded = [second, third]
    task = asyncio.create_task(Leases(registry, HOLDER, lambda: loaded).keep(look=0.01))
    await until(lambda: "in use by host:8000/1" in why_held(registry, "support@3"))
    with pytest.raises(Conflict, match=r"support@2 is in use by host:8000/1 until .* UTC at least"):
        registry.delete("support@2")
    loaded.remove(second)
    await until(lambda: not why_held(registry, "support@2"))
    assert why_held(registry, "support@3")
    await stop(task)
    assert not why_held(registry, "support@3")


async def test_leases_are_renewed_before_they_end_and_not_at_every_look(registry: Registry) -> None:
    registry.archive("support@2")
    loaded = [registry.versions("support")[1]]
    registrar = CountingRegistrar(registry)
    begin = time.monotonic()
    task = asyncio.create_task(Leases(registrar, HOLDER, lambda: loaded).keep(look=0.01, seconds=3))
    await until(lambda: registrar.leased > 0)
    while registrar.leased < 5:
        await asyncio.sleep(0.1)
        assert why_held(registry, "support@2")
    assert time.monotonic() - begin > 4, "four times a third of the lease: the first would be over"
    await stop(task)


async def test_a_server_that_dies_without_a_word_holds_for_its_time_only(registry: Registry) -> None:
    registry.archive("support@2")
    registry.lease(registry.versions("support")[1], HOLDER, 2)
    assert why_held(registry, "support@2")
    await until(lambda: not why_held(registry, "support@2"))
    registry.delete("support@2")


async def test_leases_that_cannot_be_written_are_said_once_and_written_when_they_can(
    registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    registry.archive("support@2")
    loaded = [registry.versions("support")[1]]
    registrar = CountingRegistrar(registry)
    registrar.broken = True
    with caplog.at_level(logging.WARNING, "lorarack"):
        task = asyncio.create_task(Leases(registrar, HOLDER, lambda: loaded).keep(look=0.01, seconds=0.3))
        await until(lambda: registrar.leased >= 3)
        assert not task.done()
        assert [record.getMessage() for record in caplog.records] == [
            "What this server has loaded is not held in the registry: The disk is read-only."
        ]
        registrar.broken = False
        await until(lambda: bool(why_held(registry, "support@2")))
        await stop(task)


async def test_nothing_loaded_writes_nothing(registry: Registry) -> None:
    before = (Path(registry.location) / "catalog.sqlite-wal").stat().st_mtime_ns
    registrar = CountingRegistrar(registry)
    task = asyncio.create_task(Leases(registrar, HOLDER, tuple).keep(look=0.01, seconds=60))
    await asyncio.sleep(0.2)
    await stop(task)
    assert registrar.leased == 0
    assert (Path(registry.location) / "catalog.sqlite-wal").stat().st_mtime_ns == before


async def test_a_version_that_is_gone_does_not_cost_the_others_their_lease(registry: Registry) -> None:
    registry.archive("support@2")
    _, second, third = registry.versions("support")
    registry.delete("support@3")
    registry.lease([third, second], HOLDER)
    assert why_held(registry, "support@2")


def test_a_holder_can_be_found_by_people() -> None:
    assert holder_name(8000).partition(":")[2].startswith("8000/")
