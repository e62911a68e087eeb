"""How LoRA will be computed on this CPU: as the user wishes, as far as this machine and this vLLM allow."""

from pathlib import Path

from lorarack.registry.cli.output import note
from lorarack.registry.errors import EngineError
from lorarack.server.cpu_lora.building import build_kernel, is_whole, kernel_path
from lorarack.server.settings import CpuLora
from lorarack.server.vllm_plugin.cpu_seam import PROVEN, installed_vllm


def prepare(wish: CpuLora, cache: Path) -> tuple[CpuLora, Path | None]:
    """What is chosen, and the kernel if that is it. Compiles the kernel where it is not there yet; says what it does and why.

    Args:
        wish: what the user asked for.
        cache: folder where compiled kernels stay.
    """
    found = installed_vllm()
    if wish is not CpuLora.OFF and found not in PROVEN:
        note(f"Fast LoRA on a CPU is proven with vLLM {', '.join(sorted(PROVEN))} and this is {found}: it stays off.")
        return CpuLora.OFF, None
    if wish is not CpuLora.KERNEL:
        return wish, None
    try:
        path = kernel_path(cache)
        if not is_whole(path):
            note("Compiling the LoRA kernel for this processor, once; it takes about ten seconds.")
            build_kernel(path)
    except EngineError as error:
        note(f"No LoRA kernel: {error} LoRA is computed with torch alone, which is right and several times slower.")
        return CpuLora.TORCH, None
    return CpuLora.KERNEL, path
