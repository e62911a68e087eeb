"""What the operations hand to a catalog or a blob store and get back; callers of a registry never see it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from lorarack.registry.access import Scope
from lorarack.registry.values import Metric, Parent, Provenance, State, StoredFile

#: An adapter's name and a digest, which name an artifact in every registry.
ArtifactKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A version's data before it has a number."""

    adapter: str
    base: str
    digest: str
    rank: int
    alpha: float
    rslora: bool
    target_modules: tuple[str, ...]
    dtype: str
    parameters: int
    bytes: int
    files: tuple[StoredFile, ...]
    metrics: tuple[Metric, ...]
    tags: Mapping[str, str]
    description: str | None
    provenance: Provenance | None
    parents: tuple[Parent, ...] = ()
    #: What the run itself measured; it counts for a new version, and does not replace what was said later of an old one.
    measured: Metric | None = None


@dataclass(frozen=True, slots=True)
class ImportRow:
    """A version of an export: ``number`` is what it was called there, ``parents`` are (artifact, relation)."""

    new: NewVersion
    number: int
    state: State
    state_reason: str | None
    created_at: datetime
    created_by: str
    parents: tuple[tuple[ArtifactKey, str], ...]


@dataclass(frozen=True, slots=True)
class ImportResult:
    """Where a version of an export is here: its number and state, and whether it is new; parents that are not here are counted."""

    number: int
    created: bool
    state: State
    lost_parents: int = 0


@dataclass(frozen=True, slots=True)
class AddedBase:
    """What adding a base did."""

    name: str
    created: bool
    #: Whether the base is loaded from the given place from now on; else it is one more place where it is known to be.
    used: bool
    #: Names of other bases that this folder was known for, until other files came into it.
    taken_from: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class References:
    """The digests of all files that versions have, and the largest engine id among the versions that were read."""

    digests: frozenset[str]
    newest: int


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """A blob, its size in bytes, and the seconds since it was put, or put again."""

    digest: str
    bytes: int
    age: float


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key before it is in the catalog."""

    name: str
    prefix: str
    digest: str
    scopes: tuple[Scope, ...]
    adapters: tuple[str, ...]
    expires_at: datetime | None
