"""Machines, requests and plans for the tests of a start."""

from pathlib import Path
from typing import Any

from tests.tiny import tiny_base

from lorarack.registry import Base, Version, open_registry
from lorarack.registry.errors import EngineError
from lorarack.server.launch_plan import LaunchPlan, ServeOptions, ServeRequest, ServerPaths, plan_launch
from lorarack.server.machine import Machine
from lorarack.server.memory import Memory
from lorarack.server.vllm_version import InstalledVllm

GIB = 2**30
CPU = InstalledVllm("0.32.0", cpu=True)
GPU = InstalledVllm("0.32.0", cpu=False)
PLACES = ServerPaths(registry=Path("/r"), adapters=Path("/a"), scratch=Path("/s"), launcher=7)


def machine(**changes: Any) -> Machine:
    """A CPU with two cores, 24 GiB, 21 of them free, and an empty environment."""
    return Machine(
        **{
            "vllm": CPU,
            "cores": 2,
            "memory": Memory(24 * GIB, 21 * GIB),
            "environ": {},
            "cache": Path("/c"),
            "kernel": Path("/c/kernels/k.so"),
            "plugins": ("lorarack", "other"),
            **changes,
        }
    )


def tiny(folder: Path) -> Base:
    """The tiny base, in a registry below ``folder``."""
    with open_registry(folder / "home") as registry:
        return registry.add_base(str(tiny_base(folder / "base")), "tiny")


def plan(
    base: Base,
    *flags: str,
    on: Machine | None = None,
    versions: tuple[Version, ...] = (),
    originals: tuple[str, ...] = (),
    **options: Any,
) -> LaunchPlan:
    """How a server of ``base`` would start."""
    request = ServeRequest(base, (base.source,), ServeOptions(flags, **options), originals)
    return plan_launch(request, PLACES, on or machine(), versions)


NO_CACHE = EngineError("/c can be written by others.", code="shared_cache")
