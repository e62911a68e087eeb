"""Versions, bases and engines for the server's tests."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import IO, Any

from lorarack.registry import State, Version
from lorarack.registry.access import Key, NewKey, new_secret, secret_digest
from lorarack.server.key_ring import KeyRing
from lorarack.server.limits import Limits

MOMENT = datetime(2026, 1, 2, tzinfo=UTC)
BASE_PRINT = "sha256:" + "b" * 64
LIMITS = Limits(base="smol", fingerprint=BASE_PRINT, max_rank=16)


def version(number: int = 1, *, adapter: str = "support", rank: int = 8, **changes: Any) -> Version:
    """A ready version; its digest and engine id follow from its number."""
    return Version(
        **{
            "adapter": adapter,
            "number": number,
            "digest": f"sha256:{number:064x}",
            "engine_id": number,
            "base": "smol",
            "base_fingerprint": BASE_PRINT,
            "rank": rank,
            "alpha": 16.0,
            "target_modules": ("q_proj", "v_proj"),
            "dtype": "f32",
            "parameters": 10,
            "bytes": 40,
            "state": State.READY,
            "created_at": MOMENT,
            "created_by": "test",
            **changes,
        }
    )


def key(name: str = "web-shop", **changes: Any) -> NewKey:
    """A key of a registry, for everything unless it says otherwise."""
    secret, prefix = new_secret()
    may = {"scopes": ("inference",), "adapters": ("*",)}
    made = {
        "name": name,
        "prefix": prefix,
        "digest": secret_digest(secret.encode()),
        "created_at": MOMENT,
        "created_by": "ann",
    }
    return NewKey(key=Key.model_validate({**made, **may, **changes}), secret=secret)


def ring(*static: str, registered: Iterable[NewKey] = ()) -> KeyRing:
    """The keys of a server; ``registered`` as they are at each moment."""
    return KeyRing(static, lambda: {made.key.prefix: made.key for made in registered})


class RecordingEngine:
    """An engine of our own port that only remembers; ``fault`` is raised by the next load."""

    def __init__(self) -> None:
        self.loads: list[tuple[str, int, str]] = []
        self.ids: set[int] = set()
        self.events: list[tuple[str, int]] = []
        self.delay = 0.005
        self.fault: Exception | None = None
        self.at_once = 0
        self.most_at_once = 0

    async def load(self, name: str, digest: str, engine_id: int, copy: IO[bytes]) -> None:
        """Remember, or fail."""
        import asyncio

        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(self.delay)
        self.at_once -= 1
        if self.fault:
            fault, self.fault = self.fault, None
            raise fault
        self.loads.append((name, engine_id, digest))
        self.ids.add(engine_id)
        self.events.append(("load", engine_id))

    async def unload(self, engine_id: int) -> None:
        """Remember that it is gone."""
        self.ids.discard(engine_id)
        self.events.append(("unload", engine_id))

    async def list(self) -> frozenset[int]:
        """What is there."""
        return frozenset(self.ids)
