"""vLLM's general plugin: runs in every process of every vLLM in this environment, perhaps more than once."""

import gc
import logging

from lorarack.server.settings import ServingSettings


def register() -> None:
    """Put our LoRA arithmetic in place on CPUs, and note why a process fails. Nothing at all unless `lorarack serve` began it."""
    settings = ServingSettings.from_environment()
    if settings is None:
        return
    gc.enable()  # most is imported by now
    from lorarack.server.faults import FaultNotes
    from lorarack.server.vllm_plugin.cpu_seam import use_our_lora
    from lorarack.server.vllm_plugin.engine_guard import guard_engines

    guard_engines()
    logger = logging.getLogger("vllm")
    if not any(isinstance(handler, FaultNotes) for handler in logger.handlers):
        logger.addHandler(FaultNotes(settings.faults))
    use_our_lora(settings.cpu_lora)
