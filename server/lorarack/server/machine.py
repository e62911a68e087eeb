"""What a start depends on: processors, memory, environment, plugins. Nothing is changed, vLLM is not imported."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path

from lorarack.registry.errors import EngineError
from lorarack.server.cpu.backend import find_kernel
from lorarack.server.memory import Memory, read_memory
from lorarack.server.user_cache import cache_folder, private_folder
from lorarack.server.vllm_version import InstalledVllm

_ENDPOINTS = "vllm.endpoint_plugins"
OURS = ("lorarack", "lorarack_http")


@dataclass(frozen=True, slots=True)
class Machine:
    """Where a server is to run.

    Attributes:
        vllm: the installed vLLM.
        cores: processors that this process may use.
        memory: None where it cannot be read.
        environ: the environment as it was found.
        cache: the user's own folder for what is compiled, or why there is none.
        kernel: where this machine's LoRA kernel is or will be, or why there can be none.
        plugins: vLLM's plugins that it loads unless told otherwise, by name.
        endpoint_plugins: others' plugins that add routes.
    """

    vllm: InstalledVllm
    cores: int
    memory: Memory | None
    environ: Mapping[str, str] = field(repr=False)
    cache: Path | EngineError
    kernel: Path | EngineError
    plugins: tuple[str, ...] = ()
    endpoint_plugins: frozenset[str] = frozenset()


def inspect_machine(vllm: InstalledVllm, environ: Mapping[str, str] = os.environ) -> Machine:
    """The machine now. Memory is read first, before the server takes any."""
    memory = read_memory()
    cache = _cache(environ)
    installed = entry_points()
    groups = [group for group in installed.groups if group.startswith("vllm.") and group != _ENDPOINTS]
    return Machine(
        vllm=vllm,
        cores=len(os.sched_getaffinity(0)),
        memory=memory,
        environ=dict(environ),
        cache=cache,
        kernel=find_kernel(cache) if vllm.cpu else EngineError("this is a GPU."),
        plugins=tuple(dict.fromkeys(point.name for group in groups for point in installed.select(group=group))),
        endpoint_plugins=frozenset(point.name for point in installed.select(group=_ENDPOINTS)) - set(OURS),
    )


def _cache(environ: Mapping[str, str]) -> Path | EngineError:
    try:
        return private_folder(cache_folder(environ))
    except EngineError as error:
        return error
