"""A dead engine is reported, unless it was told to end."""

import logging
import threading
from types import SimpleNamespace

import pytest

from lorarack.server.process.shutdown_log_filter import EngineWatch, ShutdownLogFilter

pytestmark = [
    pytest.mark.torch,
    # vLLM's own import: torch.jit.script_method is deprecated, and it still uses it.
    pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning"),
]


def record(error: BaseException | None) -> logging.LogRecord:
    exc_info = (type(error), error, None) if error else None
    return logging.LogRecord("vllm", logging.ERROR, "f", 1, "failed", None, exc_info)


@pytest.fixture
def manager() -> SimpleNamespace:
    return SimpleNamespace(manager_stopped=threading.Event(), failed_proc_name=None)


def test_what_follows_from_being_stopped_is_dropped(manager: SimpleNamespace) -> None:
    from vllm.v1.engine.exceptions import EngineDeadError

    manager.manager_stopped.set()
    assert not ShutdownLogFilter(manager).filter(record(EngineDeadError()))


def test_a_crash_and_other_errors_are_not(manager: SimpleNamespace) -> None:
    """vLLM ends the rest too when the engine has crashed; then the name of what failed is there."""
    from vllm.v1.engine.exceptions import EngineDeadError

    assert ShutdownLogFilter(manager).filter(record(EngineDeadError()))
    manager.manager_stopped.set()
    assert ShutdownLogFilter(manager).filter(record(ValueError("x")))
    assert ShutdownLogFilter(manager).filter(record(None))
    manager.failed_proc_name = "EngineCore"
    assert ShutdownLogFilter(manager).filter(record(EngineDeadError()))


def test_vllm_still_has_what_we_look_at() -> None:
    from vllm.v1.engine.core_client import BackgroundResources
    from vllm.v1.engine.utils import CoreEngineProcManager

    assert "engine_manager" in BackgroundResources.__dataclass_fields__
    assert {"manager_stopped", "failed_proc_name"} <= set(CoreEngineProcManager.__init__.__code__.co_names)


def test_an_engine_elsewhere_is_left_alone() -> None:
    log = logging.getLogger("vllm.v1.engine.async_llm")
    before = list(log.filters)
    EngineWatch().watch(SimpleNamespace())
    EngineWatch().watch(SimpleNamespace(engine_core=SimpleNamespace(resources=SimpleNamespace(engine_manager=None))))
    assert log.filters == before


@pytest.mark.parametrize(
    ("code", "said"), [(-9, "out of memory"), (-11, "SIGSEGV"), (1, "exit code 1"), (None, "exit code None")]
)
def test_how_an_engine_ended_is_said(code: int | None, said: str) -> None:
    log = logging.getLogger("vllm.v1.engine.async_llm")
    before = list(log.filters)
    process = SimpleNamespace(name="EngineCore", exitcode=code)
    manager = SimpleNamespace(failed_proc_name=None, processes=[process])
    watch = EngineWatch()
    assert watch.failure() is None
    watch.watch(SimpleNamespace(engine_core=SimpleNamespace(resources=SimpleNamespace(engine_manager=manager))))
    try:
        assert watch.failure() is None, "it ended because it was told to, or has not ended"
        manager.failed_proc_name = "EngineCore"
        assert said in (watch.failure() or "")
    finally:
        log.filters[:] = before
