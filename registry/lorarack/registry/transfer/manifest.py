"""The form in which versions travel between registries: plain PEFT folders beside one manifest.

::

    FOLDER/lorarack-export.json
    FOLDER/adapters/support@3/adapter_config.json, adapter_model.safetensors …
    FOLDER/adapters/acme/orders@1/…

A version's folder is its reference: no name can hold an ``@``, so no two of them can be one.
"""

import json
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, Field

from lorarack.registry.errors import InvalidArtifact
from lorarack.registry.value import Value
from lorarack.registry.values import Metric, Provenance, State, StoredFile

MANIFEST = "lorarack-export.json"
ADAPTERS = "adapters"
MAX_MANIFEST_BYTES = 256 * 2**20
MAX_VERSIONS = 200_000
_SHOWN = 5
_DIGEST = "^sha256:[0-9a-f]{64}$"


class PortableBase(Value):
    """A base model, by what is the same everywhere: never a folder of one machine."""

    name: str
    fingerprint: str = Field(pattern=_DIGEST)
    architecture: str
    parameters: int
    hub_ids: tuple[str, ...] = ()
    fingerprints: tuple[str, ...] = Field(default=(), description="all others by which it is known")


class PortableAdapter(Value):
    """An adapter; ``base`` is a fingerprint, ``aliases`` are those that name a version of this export."""

    name: str
    base: str
    aliases: dict[str, int] = Field(default_factory=dict)


class PortableParent(Value):
    """A parent by the reference that it had there, and by its digest, which is the same everywhere."""

    version: str = Field(max_length=200, pattern=r"^[a-z0-9._/-]+@[1-9][0-9]*$")
    relation: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")
    digest: str = Field(pattern=_DIGEST)


class PortableVersion(Value):
    """A version without what is of one registry alone (engine id) or follows from its files."""

    adapter: str
    number: int = Field(ge=1, le=10**8)
    digest: str = Field(pattern=_DIGEST)
    rank: int
    state: Literal[State.READY, State.ARCHIVED] = State.READY
    state_reason: str | None = None
    description: str | None = None
    tags: dict[str, str] = Field(default_factory=dict)
    metrics: tuple[Metric, ...] = ()
    provenance: Provenance | None = None
    files: tuple[StoredFile, ...]
    parents: tuple[PortableParent, ...] = ()
    created_at: AwareDatetime
    created_by: str = Field(max_length=255)

    @property
    def reference(self) -> str:
        """``support@3``, as it was called where it comes from."""
        return f"{self.adapter}@{self.number}"


class Manifest(Value):
    """Everything about an export but the files; versions in the order in which they were published."""

    format: Literal["lorarack-export/1"] = "lorarack-export/1"
    bases: tuple[PortableBase, ...]
    adapters: tuple[PortableAdapter, ...]
    versions: tuple[PortableVersion, ...] = Field(max_length=MAX_VERSIONS)

    def to_bytes(self) -> bytes:
        """The manifest's file: equal manifests give equal bytes."""
        return (json.dumps(self.to_json(), indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def refused(problems: list[str], folder: Path) -> InvalidArtifact:
    """The error for an export in ``folder`` of which nothing is imported."""
    shown = problems[: 4 * _SHOWN]
    if len(problems) > len(shown):
        shown.append(f"and {len(problems) - len(shown)} more problems like these")
    return InvalidArtifact(shown, subject=f"The export {str(folder)!r}", purpose="imported", code="bad_export")


def version_folder(root: Path, version: PortableVersion) -> Path:
    """Where the files of ``version`` lie; its adapter's name must have been checked."""
    return root / ADAPTERS / version.reference
