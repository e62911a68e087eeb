"""Installs the patches of `adapter_loader` and `nonfinite`, in engine and worker processes only.

vLLM runs our plugin within the making of an engine and within that of a worker: the first thing that these do next
installs the patches. Processes without an engine import nothing more.
"""

from typing import Any


def patch_engines() -> None:
    """Patch the engine and the worker of this process, if it makes them. Once per process."""
    from vllm.config import SchedulerConfig
    from vllm.v1.worker.worker_base import WorkerWrapperBase

    config: Any = SchedulerConfig
    worker: Any = WorkerWrapperBase
    if getattr(config, "_lorarack", False):
        return
    config._lorarack = True
    scheduler_class, init_device = config.get_scheduler_cls, worker.init_device

    def get_scheduler_cls(self: Any) -> Any:
        from lorarack.server.vllm.nonfinite import failing_scheduler

        return failing_scheduler(scheduler_class(self))

    def init_patched_device(self: Any) -> None:
        patch_worker()
        init_device(self)

    def lorarack_layout(self: Any) -> dict[str, Any] | None:
        from lorarack.server.cpu.packed_adapters import engine_layout

        runner = self.worker.model_runner
        return engine_layout(runner.lora_manager._adapter_manager, runner.model, runner.lora_config.max_lora_rank)

    config.get_scheduler_cls, worker.init_device = get_scheduler_cls, init_patched_device
    worker.lorarack_layout = lorarack_layout


def patch_worker() -> None:
    """Patch the worker of this process."""
    from vllm.platforms import current_platform

    from lorarack.server.vllm.adapter_loader import patch_loading

    patch_loading()
    if current_platform.is_cpu():
        from lorarack.server.cpu.packed_adapters import patch_activation
        from lorarack.server.vllm.nonfinite import patch_kv_cache, patch_model_runner

        patch_activation()
        patch_kv_cache()
        patch_model_runner()
