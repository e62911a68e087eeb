"""What computes LoRA on a CPU: the requested backend, if this vLLM and this machine allow it."""

from dataclasses import dataclass
from pathlib import Path

from lorarack.registry.errors import EngineError
from lorarack.server.cpu.kernel_build import build_kernel, is_intact, kernel_path
from lorarack.server.settings import CpuLora
from lorarack.server.vllm_version import TESTED_VERSIONS, InstalledVllm


@dataclass(frozen=True, slots=True)
class Backend:
    """What computes LoRA on a CPU.

    Attributes:
        choice: which of the three.
        kernel: the compiled kernel, there or to be made; None: none is used.
        note: why it is not the requested one.
    """

    choice: CpuLora
    kernel: Path | None = None
    note: str | None = None


def choose_backend(requested: CpuLora, vllm: InstalledVllm, kernel: Path | EngineError) -> Backend:
    """The backend to use. Pure.

    Args:
        requested: by the user.
        vllm: what is installed.
        kernel: where the kernel for this machine is or will be, or why there can be none.
    """
    if requested is not CpuLora.OFF and not vllm.tested:
        tested = ", ".join(sorted(TESTED_VERSIONS))
        note = f"Fast LoRA on a CPU is tested with vLLM {tested} and this is {vllm.version}: it stays off."
        return Backend(CpuLora.OFF, note=note)
    if requested is not CpuLora.KERNEL:
        return Backend(requested)
    if isinstance(kernel, EngineError):
        return without_kernel(kernel)
    return Backend(CpuLora.KERNEL, kernel)


def without_kernel(reason: EngineError) -> Backend:
    """The torch backend, with the reason."""
    note = f"No LoRA kernel: {reason} LoRA is computed with torch alone, which is correct but several times slower."
    return Backend(CpuLora.TORCH, note=note)


def find_kernel(cache: Path | EngineError) -> Path | EngineError:
    """Where this machine's kernel is or will be, or why there can be none."""
    if isinstance(cache, EngineError):
        return cache
    try:
        return kernel_path(cache / "kernels")
    except EngineError as error:
        return error


def compile_kernel(chosen: Backend) -> Backend:
    """``chosen`` with its kernel compiled if it is missing; the torch backend if that fails."""
    if chosen.kernel is None or is_intact(chosen.kernel):
        return chosen
    try:
        build_kernel(chosen.kernel)
    except EngineError as error:
        return without_kernel(error)
    return chosen


def needs_compile(chosen: Backend) -> bool:
    """Whether `compile_kernel` will take its ten seconds."""
    return chosen.kernel is not None and not is_intact(chosen.kernel)
