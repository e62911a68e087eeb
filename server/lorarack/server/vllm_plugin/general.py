"""vLLM's general plugin: runs in every process of every vLLM in this environment, perhaps more than once."""

import gc
import logging

from lorarack.server.settings import ServingSettings


def register() -> None:
    """Put our LoRA arithmetic in place on CPUs, log as vLLM does, and note why a process fails.

    Nothing at all unless `lorarack serve` began it.
    """
    settings = ServingSettings.from_environment()
    if settings is None:
        return
    gc.enable()  # most is imported by now
    from lorarack.server.faults import FaultNotes
    from lorarack.server.vllm_plugin.cpu_seam import use_our_lora

    theirs, ours = logging.getLogger("vllm"), logging.getLogger("lorarack")
    if not any(isinstance(handler, FaultNotes) for handler in theirs.handlers):
        theirs.addHandler(FaultNotes(settings.faults))
    ours.handlers, ours.propagate = (
        list(theirs.handlers),
        False,
    )  # the processes here are vLLM's: what we say looks the same
    ours.setLevel(theirs.level)
    use_our_lora(settings.cpu_lora)
