"""Hides vLLM's report of a dead engine where the server was stopped in order.

When vLLM stops, a thread ends the engine, closes the sockets and then ends the task that waits for answers. If the event loop is
quicker than that thread, the task sees closed sockets and logs a dead engine, with a traceback, although nothing is wrong.
"""

import logging
import signal
from typing import Any


class ShutdownLogFilter(logging.Filter):
    """Drops reports of a dead engine once ``manager``, vLLM's manager of the engine's process, has been asked to stop it."""

    def __init__(self, manager: Any) -> None:
        super().__init__()
        self._manager = manager

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether ``record`` is to be logged. An engine that failed by itself is."""
        from vllm.v1.engine.exceptions import EngineDeadError

        if record.exc_info is None or not isinstance(record.exc_info[1], EngineDeadError):
            return True
        return self._manager.failed_proc_name is not None or not self._manager.manager_stopped.is_set()


class EngineWatch:
    """How the engine's processes ended, if they are children of this one."""

    def __init__(self) -> None:
        self._manager: Any = None

    def watch(self, engine_client: Any) -> None:
        """Follow the processes of this engine client."""
        resources = getattr(getattr(engine_client, "engine_core", None), "resources", None)
        self._manager = getattr(resources, "engine_manager", None)
        if self._manager is not None:
            logging.getLogger("vllm.v1.engine.async_llm").addFilter(ShutdownLogFilter(self._manager))

    def failure(self) -> str | None:
        """How an engine's process failed; None: none did."""
        name = getattr(self._manager, "failed_proc_name", None)
        if name is None:
            return None
        code = next((process.exitcode for process in self._manager.processes if process.name == name), None)
        if code == -signal.SIGKILL:
            return "the engine's process was killed; unless somebody did that by hand, the system was out of memory"
        if code is not None and code < 0:
            return f"the engine's process was ended by {signal.Signals(-code).name}"
        return f"the engine's process ended with exit code {code}"


#: vLLM has one engine client in each API process.
ENGINE = EngineWatch()
