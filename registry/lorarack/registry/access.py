"""The keys of a server's clients, and what each allows."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from fnmatch import fnmatchcase

from pydantic import Field

from lorarack.registry.errors import UsageError
from lorarack.registry.value import Value

EVERY_ADAPTER = "*"
#: How every key begins, so that scanners for leaked secrets can find them.
_MARK = "lrk_"
_PREFIX = re.compile(rf"({_MARK}[0-9a-f]{{12}})_[A-Za-z0-9_-]{{43}}", re.ASCII)
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.ASCII)
#: What requests are logged under that no key of the registry has sent.
_RESERVED = re.compile(r"anonymous|key-[0-9]+", re.ASCII)
_GLOB = re.compile(r"[a-z0-9._/*?-]{1,127}", re.ASCII)


class Scope(StrEnum):
    """What a key is for."""

    INFERENCE = "inference"  # have models answer, and list them
    METRICS = "metrics"  # read /metrics, where a server closes it
    ADMIN = "admin"  # everything


class Key(Value):
    """A client's key, without the secret."""

    name: str
    prefix: str = Field(description="how the secret begins; tells which key a secret is")
    digest: str = Field(exclude=True, repr=False, description="SHA-256 of the secret")
    scopes: tuple[Scope, ...]
    adapters: tuple[str, ...] = Field(description="globs of the adapters and bases that it may use")
    created_at: datetime
    created_by: str
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def state(self, at: datetime) -> str:
        """``active``, ``expired`` or ``revoked`` at that moment."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= at else "active"

    def is_of(self, secret: bytes) -> bool:
        """Whether ``secret`` is this key's. Takes as long whether it is or not."""
        return hmac.compare_digest(secret_digest(secret), self.digest)


class NewKey(Value):
    """A key that was just made; only this value holds its secret."""

    key: Key
    secret: str = Field(repr=False)


def new_secret() -> tuple[str, str]:
    """A new secret, and the prefix that may be known: 256 random bits stay unknown."""
    prefix = f"{_MARK}{secrets.token_hex(6)}"
    return f"{prefix}_{secrets.token_urlsafe(32)}", prefix


def secret_digest(secret: bytes) -> str:
    """What is stored of a secret: one SHA-256.

    A slow, salted hash is for passwords, which can be guessed. 256 random bits cannot, and it would delay every request.
    """
    return f"sha256:{hashlib.sha256(secret).hexdigest()}"


def prefix_of(secret: bytes) -> str | None:
    """The prefix of what looks like a key of a registry; None: it does not."""
    found = _PREFIX.fullmatch(secret.decode("latin-1"))
    return found[1] if found else None


def matches(name: str, globs: Iterable[str]) -> bool:
    """Whether one of ``globs`` matches the name of an adapter or a base; ``*`` stands for any characters, ``/`` among them."""
    return any(fnmatchcase(name, glob) for glob in globs)


def check_key_name(name: str) -> str:
    """The name, if a key may have it.

    Raises:
        UsageError: it may not.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name[:80]!a} cannot name a key: a name is 1 to 63 of a-z, 0-9, '.', '_' and '-', starting with a letter or digit.",
            code="bad_name",
        )
    if _RESERVED.fullmatch(name):
        raise UsageError(
            f"{name!r} is what servers call requests without a key of the registry; give the key another name.",
            code="bad_name",
        )
    return name


def check_scopes(scopes: Sequence[str]) -> tuple[Scope, ...]:
    """The scopes, each once and in one order.

    Raises:
        UsageError: there are none, or one that is not known.
    """
    known = [scope.value for scope in Scope]
    if unknown := [scope for scope in scopes if scope not in known]:
        raise UsageError(f"{str(unknown[0])[:80]!a} is no scope; there are {', '.join(known)}.", code="bad_scope")
    if not scopes:
        raise UsageError("A key without a scope opens nothing; give one.", code="bad_scope")
    return tuple(scope for scope in Scope if scope in scopes)


def check_globs(globs: Sequence[str]) -> tuple[str, ...]:
    """The globs, each once.

    Raises:
        UsageError: there are none, or one that can match no name.
    """
    for glob in globs:
        if not _GLOB.fullmatch(glob):
            raise UsageError(
                f"{glob[:80]!a} matches no adapter; write a name in which '*' stands for any characters and '?' for one: 'acme-*'.",
                code="bad_glob",
            )
    if not globs:
        raise UsageError("A key for no adapter opens nothing; leave --adapters out for all.", code="bad_glob")
    return tuple(dict.fromkeys(globs))
