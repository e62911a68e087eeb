"""One instance, many threads: each call is whole, and readers see what has been written."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

from tests.tiny import tiny_adapter

from lorarack.registry import Registry
from lorarack.registry.errors import Conflict

THREADS = 8


def test_threads_share_an_instance(each_registry: Registry, base_folder: Path, tmp_path: Path) -> None:
    each_registry.add_base(str(base_folder), "tiny")
    sources = [tiny_adapter(tmp_path / f"{number}", seed=number) for number in range(THREADS)]
    start = Barrier(THREADS)

    def work(source: Path) -> int:
        start.wait()
        version = each_registry.publish(source, "support", base="tiny").version
        assert each_registry.resolve(version.reference).digest == version.digest, "a thread reads what it has written"
        assert version.number in each_registry.snapshot().adapters["support"].by_number
        each_registry.describe(version.reference, tags={"by": source.name})
        return version.number

    with ThreadPoolExecutor(THREADS) as pool:
        numbers = list(pool.map(work, sources))
    assert sorted(numbers) == list(range(1, THREADS + 1))
    versions = each_registry.versions("support")
    assert {v.number: v.tags["by"] for v in versions} == dict(zip(numbers, [s.name for s in sources], strict=True))
    cursors = [event.cursor for event in each_registry.events()]
    assert cursors == sorted(set(cursors))


def test_of_threads_that_compare_and_set_one_wins(each_registry: Registry, base_folder: Path, tmp_path: Path) -> None:
    each_registry.add_base(str(base_folder), "tiny")
    for number in range(2):
        each_registry.publish(tiny_adapter(tmp_path / f"{number}", seed=number), "support", base="tiny")
    start = Barrier(THREADS)

    def work(_: int) -> bool:
        start.wait()
        try:
            each_registry.set_alias("support", "prod", 2, expect=0)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(THREADS) as pool:
        assert sum(pool.map(work, range(THREADS))) == 1
    assert len(each_registry.alias_history("support", "prod")) == 1
