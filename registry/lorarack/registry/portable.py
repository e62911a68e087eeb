"""The form in which versions travel between registries: plain PEFT folders beside one manifest.

::

    FOLDER/lorarack-export.json
    FOLDER/adapters/support@3/adapter_config.json, adapter_model.safetensors …
    FOLDER/adapters/acme/orders@1/…

A version's folder is its reference: no name can hold an ``@``, so no two of them can be one.
"""

import json
import os
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime, Field, ValidationError

from lorarack.registry.disk import disk_errors, sync_folder
from lorarack.registry.errors import InvalidArtifact, NotFound, UsageError
from lorarack.registry.reference import check_adapter_name, check_alias_name
from lorarack.registry.values import Metric, Provenance, State, StoredFile, Value

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

    version: str = Field(max_length=200)
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
    """The error that says why nothing of an export in ``folder`` is imported."""
    shown = problems[: 4 * _SHOWN]
    if len(problems) > len(shown):
        shown.append(f"and {len(problems) - len(shown)} more problems like these")
    return InvalidArtifact(shown, subject=f"The export {str(folder)!r}", purpose="imported", code="bad_export")


def version_folder(root: Path, version: PortableVersion) -> Path:
    """Where the files of ``version`` lie; its adapter's name must have been checked."""
    return root / ADAPTERS / version.reference


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the export in ``folder``, checked by itself: the version's folders are not looked at.

    Raises:
        NotFound: no export there. InvalidArtifact: not a manifest, or one that contradicts itself.
    """
    manifest = _parse(_read(folder), folder)
    problems = list(_problems(manifest))
    if problems:
        raise refused(problems, folder)
    return manifest


def write_export(manifest: Manifest, whole: Path, place: Path) -> None:
    """Add the manifest to the folder ``whole``, which has all versions, and move that to ``place``. Raises ``StoreError``."""
    with disk_errors():
        with (whole / MANIFEST).open("xb") as file:
            file.write(manifest.to_bytes())
            file.flush()
            os.fsync(file.fileno())
        whole.chmod(0o755)
        whole.rename(place)
        sync_folder(place.parent)


def link_problem(root: Path, version: PortableVersion) -> str | None:
    """Why the version's folder is refused, if so: it is not there, or a link leads away from the export."""
    place = root
    for part in version_folder(root, version).relative_to(root).parts:
        place /= part
        try:
            mode = place.lstat().st_mode
        except OSError:
            return f"it has no folder {str(place.relative_to(root))!r}, which its {MANIFEST} lists"
        if not stat.S_ISDIR(mode):
            return f"{str(place.relative_to(root))!r} is a link or no folder"
    return None


def _read(folder: Path) -> bytes:
    path = folder / MANIFEST
    if not os.path.isfile(path):  # Path.is_file raises where a name is too long
        raise NotFound(
            f"There is no {MANIFEST} in {str(folder)!r}; give a folder that 'lorarack export' wrote.", code="no_export"
        )
    if path.is_symlink() or path.stat().st_size > MAX_MANIFEST_BYTES:
        raise refused([f"its {MANIFEST} is a link, or larger than {MAX_MANIFEST_BYTES} bytes"], folder)
    return path.read_bytes()


def _parse(raw: bytes, folder: Path) -> Manifest:
    try:
        data = json.loads(raw.decode(), parse_constant=_no_number)
        json.dumps(data, ensure_ascii=False).encode()  # half of a surrogate pair could be neither stored nor given back
        return Manifest.model_validate(data)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        problems = [f"its {MANIFEST}: {_where(entry['loc'])}: {entry['msg']}" for entry in found]
        raise refused(problems, folder) from error
    except (ValueError, RecursionError) as error:
        raise refused([f"its {MANIFEST} is not JSON in UTF-8"], folder) from error


def _no_number(text: str) -> None:
    raise ValueError(text)


def _where(path: tuple[int | str, ...]) -> str:
    return ".".join(str(part)[:60] for part in path) or "all of it"


def _problems(manifest: Manifest) -> Iterator[str]:
    bases = {base.fingerprint for base in manifest.bases}
    versions = {(version.adapter, version.number) for version in manifest.versions}
    names = [adapter.name for adapter in manifest.adapters]
    yield from _names_problems(manifest)
    yield from (f"it lists {what} twice" for what in _twice(names))
    yield from (f"it lists {what} twice" for what in _twice([v.reference for v in manifest.versions]))
    yield from (
        f"it lists one artifact twice for {a!r}" for a, _ in _twice([(v.adapter, v.digest) for v in manifest.versions])
    )
    for adapter in manifest.adapters:
        if adapter.base not in bases:
            yield f"it says nothing of the base of {adapter.name!r}"
        for alias, number in adapter.aliases.items():
            if (adapter.name, number) not in versions:
                yield f"alias {adapter.name}@{alias} names version {number}, which it does not have"
    unlisted = {version.adapter for version in manifest.versions} - set(names)
    yield from (f"it says nothing of adapter {name!r}, of which it has versions" for name in sorted(unlisted))


def _names_problems(manifest: Manifest) -> Iterator[str]:
    """Names become folders' names, so they are checked before anything else is looked at."""
    for adapter in manifest.adapters:
        try:
            check_adapter_name(adapter.name)
            for alias in adapter.aliases:
                check_alias_name(alias)
        except UsageError as error:
            yield error.message[:300]


def _twice(values: list[Any]) -> list[Any]:
    return [value for value, count in Counter(values).items() if count > 1]


class Exported(Value):
    """What an export wrote: references of versions, and those it left out because they are quarantined or damaged."""

    folder: str
    versions: tuple[str, ...]
    left_out: tuple[str, ...] = ()


class ImportedVersion(Value):
    """One version of an export: what it was called there, what it is called here, and whether it is new here."""

    was: str
    version: str
    created: bool


class Imported(Value):
    """What an import did; ``notes`` say what is not as it was."""

    versions: tuple[ImportedVersion, ...]
    notes: tuple[str, ...] = ()
