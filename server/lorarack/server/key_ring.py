"""The keys that a server takes: those of its start, and those of the registry as they are now."""

import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

from lorarack.registry.access import Key, prefix_of
from lorarack.server.caller import Caller


class KeyRing:
    """From a secret to its owner.

    Args:
        static: secrets of ``--api-key``; their owners are ``key-1``, ``key-2``, … and may do everything.
        registered: the registry's keys by their prefixes.
    """

    def __init__(self, static: Iterable[str], registered: Callable[[], Mapping[str, Key]]) -> None:
        secrets = [secret.encode() for secret in static]
        self._static = [(_digest(secret), Caller(f"key-{number}")) for number, secret in enumerate(secrets, 1)]
        self._registered = registered
        self._closed = bool(secrets)
        #: What vLLM's own check, further in, wants to see, if it checks.
        self.inner = secrets[0] if secrets else None

    @property
    def closed(self) -> bool:
        """Whether a key is asked for. Revoking the last one opens nothing, nor does a catalog that came back without any."""
        self._closed = self._closed or bool(self._registered())
        return self._closed

    def caller(self, secret: bytes) -> Caller | None:
        """The owner of a key that is good now; None: it is not.

        A key of the registry is found by the prefix that may be known, and compared in constant time; all static ones are compared.
        So how long it takes tells nothing about any secret.
        """
        given = _digest(secret)
        found = [caller for digest, caller in self._static if hmac.compare_digest(given, digest)]
        if found:
            return found[0]
        key = self._registered().get(prefix_of(secret) or "")
        if key is None or not key.is_of(secret) or key.state(datetime.now(UTC)) != "active":
            return None
        return Caller(key.name, frozenset(key.scopes), key.adapters)


def _digest(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()
