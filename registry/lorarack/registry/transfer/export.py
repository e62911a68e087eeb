"""Versions out of a registry, into a folder that PEFT reads."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from lorarack.registry.blobs.staging import staging_folder
from lorarack.registry.disk import disk_errors, sync_folder
from lorarack.registry.errors import NotFound
from lorarack.registry.fetch import fetch, free_place
from lorarack.registry.interface import BlobStore, Catalog
from lorarack.registry.queries import Exported
from lorarack.registry.transfer.manifest import (
    MANIFEST,
    Manifest,
    PortableAdapter,
    PortableBase,
    PortableParent,
    PortableVersion,
    version_folder,
)
from lorarack.registry.values import Base, State, Version
from lorarack.registry.versions import get_adapter, get_version, resolve


def export_to(catalog: Catalog, blobs: BlobStore, actor: str, folder: Path, what: Sequence[str]) -> Exported:
    """See ``Registry.export_to``."""
    versions, left_out = _chosen(catalog, what)
    bases = {base.name: base for base in catalog.bases()}
    manifest = _describe(catalog, versions, bases)
    place = free_place(folder)
    with staging_folder(place) as temporary:
        for version, portable in zip(versions, manifest.versions, strict=True):
            fetch(catalog, blobs, actor, version, version_folder(temporary, portable))
        _write(manifest, temporary, place)
    references = tuple(version.reference for version in versions)
    return Exported(folder=str(folder), versions=references, left_out=tuple(version.reference for version in left_out))


def _chosen(catalog: Catalog, what: Sequence[str]) -> tuple[list[Version], list[Version]]:
    found = {version.reference: version for part in what or catalog.adapter_names() for version in _part(catalog, part)}
    ordered = sorted(found.values(), key=lambda version: version.engine_id)
    left_out = [version for version in ordered if version.state in (State.QUARANTINED, State.DAMAGED)]
    versions = [version for version in ordered if version not in left_out]
    if not versions:
        raise NotFound("There is nothing to export here; publish something first.", code="nothing")
    return versions, left_out


def _part(catalog: Catalog, what: str) -> Iterable[Version]:
    """The versions of an adapter, or the one that a reference names."""
    return (
        [resolve(catalog, what, with_curves=True)]
        if "@" in what
        else get_adapter(catalog, what, with_curves=True).versions
    )


def _describe(catalog: Catalog, versions: list[Version], bases: Mapping[str, Base]) -> Manifest:
    adapters: dict[str, PortableAdapter] = {}
    for version in versions:
        before = adapters.get(version.adapter)
        aliases = {**(before.aliases if before else {}), **dict.fromkeys(version.aliases, version.number)}
        adapters[version.adapter] = PortableAdapter(
            name=version.adapter, base=version.base_fingerprint, aliases=aliases
        )
    used = {version.base for version in versions}
    return Manifest(
        bases=tuple(_portable_base(base) for name, base in bases.items() if name in used),
        adapters=tuple(adapters[name] for name in sorted(adapters)),
        versions=tuple(_portable(catalog, version) for version in versions),
    )


def _portable(catalog: Catalog, version: Version) -> PortableVersion:
    kept = PortableVersion.model_fields.keys() - {"parents"}
    parents = tuple(
        PortableParent(
            version=parent.version, relation=parent.relation, digest=get_version(catalog, parent.version).digest
        )
        for parent in version.parents
    )
    return PortableVersion(**{name: getattr(version, name) for name in kept}, parents=parents)


def _portable_base(base: Base) -> PortableBase:
    ids = tuple(
        f"{known.value}@{known.revision}" if known.revision else known.value
        for known in base.ids
        if known.kind == "hub"
    )
    return PortableBase(
        name=base.name,
        fingerprint=base.fingerprint,
        architecture=base.architecture,
        parameters=base.parameters,
        hub_ids=ids,
        fingerprints=tuple(sorted({*base.fingerprints} - {base.fingerprint})),
    )  # fmt: skip


def _write(manifest: Manifest, whole: Path, place: Path) -> None:
    """Add the manifest to the folder ``whole``, which has all versions, and move that to ``place``. Raises ``StoreError``."""
    with disk_errors():
        with (whole / MANIFEST).open("xb") as file:
            file.write(manifest.to_bytes())
            file.flush()
            os.fsync(file.fileno())
        whole.chmod(0o755)
        whole.rename(place)
        sync_folder(place.parent)
