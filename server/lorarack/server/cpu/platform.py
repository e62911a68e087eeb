"""vLLM's CPU platform with LoRA arithmetic of our own: a platform plugin, as vLLM has them for other makers' devices.

vLLM asks for it in every process (entry point ``vllm.platform_plugins``); None unless `lorarack serve` started the process.
"""

import logging
import os
import shutil
from typing import Any

from vllm.platforms import cpu_platform_plugin
from vllm.utils.import_utils import resolve_obj_by_qualname

from lorarack.server.settings import CpuLora, ServingSettings

#: The classes that take the place of vLLM's, as vLLM names classes: one without and one with the kernel.
GROUPED = "lorarack.server.cpu.punica.GroupedPunicaWrapper"
KERNEL = "lorarack.server.cpu.layer_patch.KernelPunicaWrapper"

_COMPILERS = ("g++", "clang++")
_logger = logging.getLogger("vllm.lorarack")  # as vLLM logs, whose process this is

# Whatever vLLM would choose on this processor: it has a class of its own for some.
_CpuPlatform: Any = resolve_obj_by_qualname(cpu_platform_plugin() or "vllm.platforms.cpu.CpuPlatform")


class LorarackCpuPlatform(_CpuPlatform):
    """vLLM's own platform with our LoRA arithmetic, compiled with LoRA, in the engine's own process."""

    @classmethod
    def get_punica_wrapper(cls) -> str:
        """The class that computes LoRA. vLLM's gives rows of the base model the adapter in the last slot."""
        return GROUPED if _choice() is CpuLora.OFF else KERNEL

    @classmethod
    def check_and_update_config(cls, vllm_config: Any) -> None:
        """Keep compilation on with LoRA, and the model in the engine's own process.

        vLLM turns compilation off for LoRA because its own LoRA arithmetic on a CPU cannot be traced; ours is one opaque
        operation per layer. And it moves the model to a process of its own, to give it its threads by environment variables; on a
        box of few cores that process costs more in messages, every step, than it brings, so the engine's process gets the
        variables when it is started (``process/prespawn.py``).
        """
        if _choice() is CpuLora.OFF:
            super().check_and_update_config(vllm_config)
            return
        lora, parallel = vllm_config.lora_config, vllm_config.parallel_config
        requested = parallel.distributed_executor_backend
        reason = uncompiled_reason(vllm_config)
        if reason is None:
            vllm_config.lora_config = None
        try:
            super().check_and_update_config(vllm_config)
        finally:
            vllm_config.lora_config = lora
        if reason is not None and lora is not None:
            _logger.warning("The model is not compiled: %s.", reason)
        alone = parallel.data_parallel_size == 1  # several engines on one machine share out its cores
        if requested == "uni" and alone and parallel.distributed_executor_backend == "mp":
            parallel.distributed_executor_backend = requested


def uncompiled_reason(vllm_config: Any) -> str | None:
    """Why a model with LoRA cannot be compiled here; None: it can."""
    model, lora = vllm_config.model_config, vllm_config.lora_config
    if lora is None:
        return None
    if not (os.environ.get("CXX") or any(map(shutil.which, _COMPILERS))):
        return "torch's compiler needs a C++ compiler, and there is none"
    if lora.fully_sharded_loras:
        return "LoRA with --fully-sharded-loras cannot be traced"
    if model is not None and model.is_moe:
        return "LoRA on a mixture of experts cannot be traced"
    if model is not None and model.is_multimodal_model:
        return "LoRA on a multimodal model cannot be traced"
    return None


def _choice() -> CpuLora:
    settings = ServingSettings.from_environment()
    return CpuLora.OFF if settings is None else settings.cpu_lora
