"""How much is read, counted by the kernel (``rchar``): every byte that a read gave to this process, from cache or disk."""

import gc
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, event
from tests.tiny import ALL_LINEAR, tiny_adapter

from lorarack.registry import Metric, Registry, open_registry

#: What is read beside weights: the database, headers, small files, folders.
OTHER = 300_000


def bytes_read(work: Callable[[], object]) -> int:
    def counted() -> int:
        return int(Path("/proc/self/io").read_text().split("rchar: ")[1].split()[0])

    gc.collect()
    before = counted()
    work()
    return counted() - before


@pytest.fixture
def large(tmp_path: Path) -> list[Path]:
    """Adapters of about a megabyte."""
    return [tiny_adapter(tmp_path / f"large-{seed}", 512, seed, ALL_LINEAR, alpha=4) for seed in range(3)]


@pytest.fixture
def other(home_template: Path, tmp_path: Path) -> Iterator[Registry]:
    with open_registry(shutil.copytree(home_template, tmp_path / "other")) as opened:
        yield opened


def weights(folder: Path) -> int:
    return (folder / "adapter_model.safetensors").stat().st_size


def test_publishing_reads_the_weights_once(registry: Registry, large: list[Path]) -> None:
    registry.publish(large[0], "support", base="tiny")  # what is imported and opened once is read by now
    for folder in large[1:]:
        read = bytes_read(lambda folder=folder: registry.publish(folder, "support", base="tiny"))  # type: ignore[misc]
        assert weights(folder) <= read <= weights(folder) + OTHER
        assert weights(folder) > 3 * OTHER


def test_importing_reads_each_weight_file_twice(
    registry: Registry, other: Registry, large: list[Path], tmp_path: Path
) -> None:
    """Once to tell of all problems before anything is stored, once to store it."""
    registry.publish(large[0], "first", base="tiny")
    registry.export_to(tmp_path / "first")
    other.import_from(tmp_path / "first")
    for folder in large:
        registry.publish(folder, "support", base="tiny")
    exporting = bytes_read(lambda: registry.export_to(tmp_path / "export", "support"))
    importing = bytes_read(lambda: other.import_from(tmp_path / "export"))
    total = sum(weights(folder) for folder in large)
    assert total <= exporting <= total + OTHER
    assert 2 * total <= importing <= 2 * total + 2 * OTHER


@pytest.fixture
def statements() -> Iterator[list[str]]:
    """The SQL that is executed, wherever."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    yield seen
    event.remove(Engine, "before_cursor_execute", note)


def test_resolving_and_fetching_read_no_curves(
    registry: Registry, adapter: Path, tmp_path: Path, statements: list[str]
) -> None:
    points = [Metric(name="loss", split="train", value=1 / step, step=step) for step in range(1, 100)]
    registry.publish(adapter, "support", base="tiny", metrics=points)

    def executed(work: Callable[[], object]) -> set[str]:
        statements.clear()
        work()
        return set(statements)

    without = executed(lambda: registry.resolve("support"))
    curves = executed(lambda: registry.resolve("support", with_curves=True)) - without
    assert len(curves) == 1
    for place, what in enumerate(("support", registry.resolve("support"))):
        folder = tmp_path / f"fetched-{place}"
        assert not executed(lambda what=what, folder=folder: registry.fetch(what, folder)) & curves  # type: ignore[misc]
    assert registry.resolve("support").metrics == ()
