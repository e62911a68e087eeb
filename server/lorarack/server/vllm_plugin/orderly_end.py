"""No alarm where a server was stopped as it should be.

When vLLM stops, a thread ends the engine, closes the sockets and then ends the task that waits for answers. If the event loop is
quicker than that thread, the task sees closed sockets and logs a dead engine, with a traceback, although nothing is amiss.
"""

import logging
from typing import Any


class OrderlyEnd(logging.Filter):
    """Drops reports of a dead engine from the moment that ``manager``, vLLM's of the engine's process, was told to end it."""

    def __init__(self, manager: Any) -> None:
        super().__init__()
        self._manager = manager

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether ``record`` is to be logged. An engine that failed by itself is."""
        from vllm.v1.engine.exceptions import EngineDeadError

        if record.exc_info is None or not isinstance(record.exc_info[1], EngineDeadError):
            return True
        return self._manager.failed_proc_name is not None or not self._manager.manager_stopped.is_set()


def expect_orderly_end(engine_client: Any) -> None:
    """Watch the log of the task that waits for answers, where the engine's process belongs to this one."""
    resources = getattr(getattr(engine_client, "engine_core", None), "resources", None)
    manager = getattr(resources, "engine_manager", None)
    if manager is not None:
        logging.getLogger("vllm.v1.engine.async_llm").addFilter(OrderlyEnd(manager))
