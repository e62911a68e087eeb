"""Puts the guards of ``adapter_loader.py`` and ``finite.py`` where engine processes begin. No process imports more for it."""

from typing import Any


def guard_engines() -> None:
    """Guard every engine and worker that this process will make. Once a process."""
    from vllm.v1.engine.core import EngineCore
    from vllm.v1.worker.worker_base import WorkerWrapperBase

    from lorarack.server.vllm_plugin.finite import count_in_logits

    engine, worker = EngineCore, WorkerWrapperBase
    if getattr(engine, "_lorarack", False):
        return
    engine._lorarack = True  # type: ignore[attr-defined]
    count_in_logits()
    make_engine, make_worker = engine.__init__, worker.init_worker

    def make_guarded(self: Any, *args: Any, **kwargs: Any) -> None:
        from lorarack.server.vllm_plugin.finite import guard_scheduler

        make_engine(self, *args, **kwargs)
        guard_scheduler(self.scheduler)

    def init_worker(self: Any, *args: Any, **kwargs: Any) -> None:
        make_worker(self, *args, **kwargs)
        guard_worker()

    engine.__init__, worker.init_worker = make_guarded, init_worker  # type: ignore[method-assign]


def guard_worker() -> None:
    """Guard the worker of this process."""
    from vllm.platforms import current_platform

    from lorarack.server.vllm_plugin.adapter_loader import guard_loading
    from lorarack.server.vllm_plugin.finite import guard_cache, guard_rows

    guard_loading()
    if current_platform.is_cpu():
        guard_cache()
        guard_rows()
