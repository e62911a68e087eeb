"""The one grammar of references: what a user writes where a model name is asked for.

==========================  =======================================
``support``                 the version that its ``default`` alias names
``support@3``               version 3
``support@prod``            the version that alias ``prod`` names
``support@latest``          the newest ready version
``support@r16``             the newest ready version of rank 16
``support@sha256:ab12cd34`` the version with that digest; a unique prefix of 8 or more digits
==========================  =======================================

Names follow ``[a-z0-9][a-z0-9._-]{0,62}`` with at most one ``/`` between two such parts.
"""

import re
from dataclasses import dataclass
from typing import TypeAlias

from lorarack.registry.errors import BadReference
from lorarack.registry.texts import NAME, NAME_RULE, is_alias_name

DEFAULT_ALIAS = "default"
MIN_DIGEST_PREFIX = 8

_NUMBER = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)
_RANK = re.compile(r"r([1-9][0-9]{0,4})", re.ASCII)
_DIGEST = re.compile(rf"sha256:([0-9a-f]{{{MIN_DIGEST_PREFIX},64}})", re.ASCII)


@dataclass(frozen=True, slots=True)
class ByAlias:
    """The version that an alias names."""

    alias: str

    def __str__(self) -> str:
        return self.alias


@dataclass(frozen=True, slots=True)
class ByNumber:
    """The version with this number."""

    number: int

    def __str__(self) -> str:
        return str(self.number)


@dataclass(frozen=True, slots=True)
class ByRank:
    """The newest ready version of this rank."""

    rank: int

    def __str__(self) -> str:
        return f"r{self.rank}"


@dataclass(frozen=True, slots=True)
class ByDigest:
    """The version whose digest starts with these hexadecimal digits."""

    prefix: str

    def __str__(self) -> str:
        return f"sha256:{self.prefix}"


@dataclass(frozen=True, slots=True)
class Latest:
    """The newest ready version."""

    def __str__(self) -> str:
        return "latest"


Selector: TypeAlias = ByAlias | ByNumber | ByRank | ByDigest | Latest


@dataclass(frozen=True, slots=True)
class Reference:
    """An adapter's name and what picks one of its versions."""

    name: str
    selector: Selector

    def __str__(self) -> str:
        if self.selector == ByAlias(DEFAULT_ALIAS):
            return self.name
        return f"{self.name}@{self.selector}"


def parse_reference(text: str) -> Reference:
    """Parse ``text``.

    Raises:
        BadReference: ``text`` is not a reference; the sentence says which rule it breaks.
    """
    name, at, selector = text.partition("@")
    if not NAME.fullmatch(name):
        raise BadReference(f"{text!r} is not a reference: {NAME_RULE}, then optionally '@' and a version.")
    return Reference(name, _parse_selector(text, selector) if at else ByAlias(DEFAULT_ALIAS))


def _parse_selector(text: str, selector: str) -> Selector:
    if selector == "latest":
        return Latest()
    if _NUMBER.fullmatch(selector):
        return ByNumber(int(selector))
    if rank := _RANK.fullmatch(selector):
        return ByRank(int(rank[1]))
    if digest := _DIGEST.fullmatch(selector):
        return ByDigest(digest[1])
    if is_alias_name(selector):
        return ByAlias(selector)
    raise BadReference(
        f"{text!r} is not a reference: after '@' comes a version number, an alias, 'latest', 'rN' for a rank, "
        f"or 'sha256:' with at least {MIN_DIGEST_PREFIX} digits."
    )
