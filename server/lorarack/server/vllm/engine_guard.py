"""Puts the guards of ``adapter_loader.py`` and ``finite.py`` in place, in engine processes alone and before they begin to work.

vLLM runs our plugin within the making of an engine and within that of a worker: what these do next is where the guards are
put. Processes without an engine import nothing more for it.
"""

from typing import Any


def guard_engines() -> None:
    """Guard the engine and the worker of this process, if it makes them. Once a process."""
    from vllm.config import SchedulerConfig
    from vllm.v1.worker.worker_base import WorkerWrapperBase

    config: Any = SchedulerConfig
    worker: Any = WorkerWrapperBase
    if getattr(config, "_lorarack", False):
        return
    config._lorarack = True
    scheduler_class, init_device = config.get_scheduler_cls, worker.init_device

    def get_scheduler_cls(self: Any) -> Any:
        from lorarack.server.vllm.nonfinite import guard_scheduler

        return guard_scheduler(scheduler_class(self))

    def init_guarded_device(self: Any) -> None:
        guard_worker()
        init_device(self)

    config.get_scheduler_cls, worker.init_device = get_scheduler_cls, init_guarded_device


def guard_worker() -> None:
    """Guard the worker of this process."""
    from vllm.platforms import current_platform

    from lorarack.server.vllm.adapter_loader import guard_loading

    guard_loading()
    if current_platform.is_cpu():
        from lorarack.server.vllm.nonfinite import guard_cache, guard_rows

        guard_cache()
        guard_rows()
