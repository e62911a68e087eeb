"""What the request path needs of an inference engine, in this process or behind another."""

from typing import IO, Protocol


class EnginePort(Protocol):
    """Three calls, each with the engine's number of an adapter."""

    async def load(self, name: str, digest: str, engine_id: int, copy: IO[bytes]) -> None:
        """Load the adapter from ``copy``, an open file (`adapter_copy`), and let requests name it.

        Raises:
            EngineError: the engine would not take it.
        """

    async def unload(self, engine_id: int) -> None:
        """Let no request name the adapter any more, and free its memory.

        Raises:
            EngineError: the engine failed at it.
        """

    async def list(self) -> frozenset[int]:
        """The engine ids of the adapters that it holds.

        Raises:
            EngineError: the engine does not answer.
        """
