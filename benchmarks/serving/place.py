"""What the comparisons of servers work with: a base, registries with a few and with many adapters, and the servers."""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench_cpu_lora import find_base
from benchmarks.cpu_lora import arms
from benchmarks.cpu_lora.adapters import make_adapter
from benchmarks.cpu_lora.arms import Arm

from lorarack.registry import open_registry

RANK, FEW = 16, 8
#: Adapters of the crowd have a small rank, so that publishing a thousand takes seconds and their copies a gigabyte.
CROWD_RANK = 2
ROWS = 16


@dataclass(frozen=True, slots=True)
class Place:
    """A base, the folders of a few adapters, and a registry of them."""

    base: Path
    adapters: tuple[Path, ...]
    home: Path
    logs: Path
    folder: Path

    @property
    def names(self) -> tuple[str, ...]:
        """References of the few."""
        return tuple(f"{path.name}@1" for path in self.adapters)

    def ours(self, name: str, *flags: str, home: Path | None = None) -> Arm:
        """Our server with the flags that all have."""
        return arms.ours(name, self.logs, home or self.home, *arms.SAME, *flags)

    def plain(self, name: str, *flags: str, lora: bool = False, variables: dict[str, str] | None = None) -> Arm:
        """Plain vLLM with the flags that all have, with or without the few adapters."""
        folders = {path.name: path for path in self.adapters} if lora else {}
        arm = arms.plain(name, self.logs, self.base, folders, *arms.SAME, *flags)
        return Arm(arm.name, arm.command, arm.logs, {**arm.environ, **(variables or {})}, arm.ready)


def make_place(folder: Path) -> Place:
    """The base, and eight adapters of rank 16, each a version."""
    base = find_base()
    adapters = tuple(make_adapter(base, folder / f"few{n}", RANK, n) for n in range(FEW))
    home, logs = folder / "registry", folder / "logs"
    _publish(home, base, adapters)
    logs.mkdir()
    return Place(base, adapters, home, logs, folder)


def make_crowd(place: Place, count: int) -> tuple[Path, tuple[str, ...]]:
    """A registry of ``count`` adapters with weights of their own, and their references."""
    home = place.folder / "crowd"
    if home.exists():
        return home, tuple(f"crowd{n}@1" for n in range(count))
    adapters = tuple(make_adapter(place.base, place.folder / f"crowd{n}", CROWD_RANK, 10_000 + n) for n in range(count))
    _publish(home, place.base, adapters)
    return home, tuple(f"crowd{n}@1" for n in range(count))


def lora_flags(slots: int, places: int, rank: int = RANK) -> tuple[str, ...]:
    """The same slots on both sides; ``places`` adapters in host memory."""
    return (
        "--max-lora-rank", str(rank), "--max-loras", str(slots), "--max-cpu-loras", str(places),
        "--lora-target-modules", *arms.MODULES,
    )  # fmt: skip


def _publish(home: Path, base: Path, adapters: tuple[Path, ...]) -> None:
    with open_registry(home) as registry:
        registry.add_base(str(base), arms.BASE)
        for adapter in adapters:
            registry.publish(adapter, adapter.name, base=arms.BASE)
