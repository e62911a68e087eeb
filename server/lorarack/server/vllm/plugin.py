"""vLLM's general plugin: runs in every process of every vLLM in this environment, perhaps more than once."""

import logging
import os

from lorarack.registry.errors import EngineError
from lorarack.server.settings import CpuLora, ServingSettings


def register() -> None:
    """Bind the process to its server, and note why it fails. No-op unless `lorarack serve` started it.

    Raises:
        EngineError: a CPU, and vLLM has not taken our platform.
    """
    settings = ServingSettings.from_environment()
    if settings is None:
        return
    from vllm.platforms import current_platform

    from lorarack.server.engine_errors import FirstErrorHandler
    from lorarack.server.process.parent_death import die_with_parent
    from lorarack.server.vllm.engine_patches import patch_engines

    if settings.launcher == os.getppid():
        die_with_parent(settings.launcher)
    patch_engines()
    logger = logging.getLogger("vllm")
    if not any(isinstance(handler, FirstErrorHandler) for handler in logger.handlers):
        logger.addHandler(FirstErrorHandler(settings.errors))
    if current_platform.is_cpu():
        from lorarack.server.cpu.platform import LorarackCpuPlatform

        if not isinstance(current_platform, LorarackCpuPlatform):
            raise EngineError(
                "vLLM has not taken lorarack's platform plugin, and its own LoRA on a CPU gives base-model requests another "
                "request's adapter; reinstall lorarack.",
                code="no_vllm",
            )
        if settings.cpu_lora is not CpuLora.OFF:
            from lorarack.server.cpu.aot_loader import patch_aot_loader

            patch_aot_loader()
