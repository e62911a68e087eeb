"""How vLLM sets up its engine on a CPU, where it decides otherwise than a server of adapters wants.

These are vLLM 0.32's own decisions, changed at run time and only under `lorarack serve`: nothing of vLLM is edited on disk.
"""

import logging
import os
import shutil
from typing import Any

import torch

_COMPILERS = ("g++", "clang++")
#: For glibc's allocator: what a step frees stays with the process, in large pages. As it comes, each layer of a long prompt gives
#: megabytes back to the kernel and gets them again as zeroed pages of 4 KiB; others advise to preload another allocator.
KEEP_MEMORY = "glibc.malloc.mmap_threshold=1073741824:glibc.malloc.trim_threshold=4294967296:glibc.malloc.hugetlb=1"
_logger = logging.getLogger(__name__)


def settle_engine() -> None:
    """Have ``CpuPlatform`` keep compilation on with LoRA, and the model in the engine's own process.

    vLLM turns compilation off for LoRA because its own LoRA arithmetic on a CPU cannot be traced; ours is one opaque
    operation per layer. And it moves the model to a process of its own, to give it its threads by environment variables; on a
    box of few cores that process costs more in messages, every step, than it brings, so the engine gets the variables.
    """
    from vllm.platforms import current_platform

    platform = type(current_platform)
    original = platform.check_and_update_config.__func__

    def check_and_update_config(cls: Any, vllm_config: Any) -> None:
        lora, parallel = vllm_config.lora_config, vllm_config.parallel_config
        wished = parallel.distributed_executor_backend
        reason = why_not_compiled(vllm_config)
        if reason is None:
            vllm_config.lora_config = None
        try:
            original(cls, vllm_config)
        finally:
            vllm_config.lora_config = lora
        if reason is not None and lora is not None:
            _logger.warning("The model is not compiled: %s.", reason)
        os.environ.setdefault("GLIBC_TUNABLES", KEEP_MEMORY)  # read where the engine's process begins
        alone = parallel.data_parallel_size == 1  # several engines on one machine share out its cores
        if wished == "uni" and alone and parallel.distributed_executor_backend == "mp":
            parallel.distributed_executor_backend = wished
            _give_threads(vllm_config)

    platform.check_and_update_config = classmethod(check_and_update_config)


def why_not_compiled(vllm_config: Any) -> str | None:
    """What of this configuration or machine keeps a model with LoRA from being compiled; None: nothing."""
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


def load_what_was_compiled() -> None:
    """Give functions that were compiled ahead of time and loaded from disk the method that vLLM calls on them.

    vLLM's own compiler returns objects with ``finalize_loading``; on CPUs the artefact is inductor's plain function, which needs
    no finishing, and vLLM 0.32 takes the missing attribute for a damaged file and compiles again at every start.
    """
    original = torch.compiler.load_compiled_function

    def load_compiled_function(*args: Any, **kwargs: Any) -> Any:
        loaded = original(*args, **kwargs)
        compiled = loaded._artifacts.compiled_fn
        if not hasattr(compiled, "finalize_loading"):
            compiled.finalize_loading = lambda vllm_config: None
        return loaded

    torch.compiler.load_compiled_function = load_compiled_function


def _give_threads(vllm_config: Any) -> None:
    """The variables that vLLM would have given a worker's process: OpenMP reads them when the engine's process begins."""
    from vllm.utils.ompmultiprocessing import OMPProcessManager

    with OMPProcessManager(vllm_config).configure_omp_envs(0, 0):
        wanted = {name: value for name, value in os.environ.items() if name.startswith(("OMP_", "GOMP_", "KMP_"))}
    os.environ.update(wanted)
