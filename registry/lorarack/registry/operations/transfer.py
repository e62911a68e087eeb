"""How export and import are done; imported by those who do them, for it needs half of the registry."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from lorarack.registry import fetch, publish
from lorarack.registry.artifact.folder import open_folder
from lorarack.registry.artifact.manifest import CHAT_TEMPLATE, CONFIG, WEIGHTS, artifact_digest, schema_1_digest, sha256
from lorarack.registry.artifact.validate import inspect_artifact
from lorarack.registry.base_model.contents import KnownBase
from lorarack.registry.blobs.staging import staging_folder
from lorarack.registry.catalog.imports import CatalogImporter
from lorarack.registry.disk import disk_errors
from lorarack.registry.errors import BlobGone, InvalidArtifact, NotFound
from lorarack.registry.operations.versions import VersionOperations
from lorarack.registry.queries import Exported, Imported, ImportedVersion
from lorarack.registry.records import ArtifactKey, ImportResult, ImportRow
from lorarack.registry.transfer.manifest import (
    Manifest,
    PortableAdapter,
    PortableBase,
    PortableParent,
    PortableVersion,
    link_problem,
    refused,
    version_folder,
    write_export,
)
from lorarack.registry.transfer.read_manifest import read_manifest
from lorarack.registry.values import Base, State, Version

_STORINGS = 10


def export_to(registry: VersionOperations, folder: Path, what: Sequence[str] = ()) -> Exported:
    """See ``PortabilityOperations.export_to``."""
    versions, left_out = _chosen(registry, what)
    bases = {base.name: base for base in registry.bases()}
    manifest = _describe(registry, versions, bases)
    place = fetch.free_place(folder)
    with staging_folder(place) as temporary:
        for version, portable in zip(versions, manifest.versions, strict=True):
            registry.fetch(version, version_folder(temporary, portable))
        write_export(manifest, temporary, place)
    references = tuple(version.reference for version in versions)
    return Exported(folder=str(folder), versions=references, left_out=tuple(version.reference for version in left_out))


def import_from(registry: VersionOperations, folder: Path) -> Imported:
    """See ``PortabilityOperations.import_from``."""
    with disk_errors():
        manifest = read_manifest(folder)
        bases = _bases_of(registry, manifest)
        for adapter in manifest.adapters:
            registry._writer.check_adapter(adapter.name, bases[adapter.name].name)
        problems = [problem for v in manifest.versions for problem in _problems(folder, v, bases[v.adapter])]
    if problems:
        raise refused(problems, folder)
    importer = CatalogImporter(registry._database, registry.actor)
    for _ in range(_STORINGS):
        stored = [_store(registry, folder, version, bases[version.adapter]) for version in manifest.versions]
        here = {
            (version.adapter, version.digest): (version.adapter, arrival.new.digest)
            for version, arrival in zip(manifest.versions, stored, strict=True)
        }
        arrivals = [
            replace(arrival, parents=tuple((here.get(known, known), relation) for known, relation in arrival.parents))
            for arrival in stored
        ]
        aliases = {
            adapter: {alias: here[known] for alias, known in names.items()}
            for adapter, names in _aliases(manifest).items()
        }
        with suppress(BlobGone):  # `gc` may take a file that no version has yet
            landed, left = importer.add(arrivals, aliases, registry._blobs.has)
            return _report(manifest.versions, landed, left)
    raise BlobGone


def _chosen(registry: VersionOperations, what: Sequence[str]) -> tuple[list[Version], list[Version]]:
    found = {
        version.reference: version for part in what or registry._reader.names() for version in _part(registry, part)
    }
    ordered = sorted(found.values(), key=lambda version: version.engine_id)
    left_out = [version for version in ordered if version.state in (State.QUARANTINED, State.DAMAGED)]
    versions = [version for version in ordered if version not in left_out]
    if not versions:
        raise NotFound("There is nothing to export here; publish something first.", code="nothing")
    return versions, left_out


def _part(registry: VersionOperations, what: str) -> Iterable[Version]:
    """The versions of an adapter, or the one that a reference names."""
    return [registry.resolve(what, with_curves=True)] if "@" in what else registry.versions(what, with_curves=True)


def _describe(registry: VersionOperations, versions: list[Version], bases: Mapping[str, Base]) -> Manifest:
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
        versions=tuple(_portable(registry, version) for version in versions),
    )


def _portable(registry: VersionOperations, version: Version) -> PortableVersion:
    kept = PortableVersion.model_fields.keys() - {"parents"}
    parents = tuple(
        PortableParent(version=parent.version, relation=parent.relation, digest=registry._exact(parent.version).digest)
        for parent in version.parents
    )
    return PortableVersion(**{name: getattr(version, name) for name in kept}, parents=parents)


def _bases_of(registry: VersionOperations, manifest: Manifest) -> dict[str, Base]:
    """By adapter, the base here. Raises ``NotFound``."""
    here = _known_here(registry.bases(), manifest.bases)
    for base in manifest.bases:
        if base.fingerprint not in here:
            source = base.hub_ids[-1] if base.hub_ids else "FOLDER-OR-ID"
            raise NotFound(
                f"The export's base {base.name!r} ({base.fingerprint[:19]}…) is not known here; "
                f"add it with 'lorarack base add {source}' and import again.",
                code="unknown_base",
            )
    return {adapter.name: here[adapter.base] for adapter in manifest.adapters}


def _known_here(bases: Iterable[Base], exported: Iterable[PortableBase]) -> dict[str, Base]:
    """By its fingerprint in the export, the base here that shares one; by the sample of 0.1.0 where one alone has that."""
    known = tuple(bases)
    found = {}
    for base in exported:
        prints = {base.fingerprint, *base.fingerprints}
        same = [b for b in known if prints.intersection((b.fingerprint, *b.fingerprints))]
        same = same or [b for b in known if b.sampled == base.fingerprint]
        if len(same) == 1:
            found[base.fingerprint] = same[0]
    return found


def _store(registry: VersionOperations, folder: Path, version: PortableVersion, base: Base) -> ImportRow:
    about = publish.VersionMetadata(version.metrics, version.tags, version.description, version.provenance)
    try:
        new, _ = publish.store(version_folder(folder, version), version.adapter, base, about, registry._blobs)
    except InvalidArtifact as error:
        raise refused([f"{version.reference}: {problem}" for problem in error.problems], folder) from error
    if {file.name: file.digest for file in new.files} != {file.name: file.digest for file in version.files}:
        raise refused([f"the files of {version.reference} changed while they were imported"], folder)
    known = registry._reader.same_weights(version.adapter, new.files)
    if version.digest not in dict(known):
        new = publish.under_known_digest(new, known, registry._blobs)
    if version.digest in dict(known) or new.digest not in dict(known):
        new = replace(new, digest=version.digest)  # a version keeps the digest that it was published with
    return ImportRow(
        new=new,
        number=version.number,
        state=version.state,
        state_reason=version.state_reason,
        created_at=version.created_at,
        created_by=version.created_by,
        parents=tuple(
            ((parent.version.partition("@")[0], parent.digest), parent.relation) for parent in version.parents
        ),
    )


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


def _aliases(manifest: Manifest) -> dict[str, dict[str, ArtifactKey]]:
    digests = {(version.adapter, version.number): version.digest for version in manifest.versions}
    found: dict[str, dict[str, ArtifactKey]] = defaultdict(dict)
    for adapter in manifest.adapters:
        for alias, number in adapter.aliases.items():
            found[adapter.name][alias] = (adapter.name, digests[adapter.name, number])
    return found


def _problems(root: Path, version: PortableVersion, base: Base) -> list[str]:
    """Why this version cannot be imported: links, files that are no adapter of the base, other bytes than were exported."""
    wrong = link_problem(root, version)
    if wrong:
        return [wrong]
    folder = version_folder(root, version)
    try:
        with open_folder(folder) as opened:
            artifact = inspect_artifact(
                opened, base, KnownBase(base)
            )  # the numbers are looked at in the copy that is stored
            opened.weights.seek(0)
            weights = f"sha256:{hashlib.file_digest(opened.weights, 'sha256').hexdigest()}"
    except InvalidArtifact as error:
        return [f"{version.reference}: {problem}" for problem in error.problems]
    found = {CONFIG: sha256(artifact.config), WEIGHTS: weights}
    if version.digest not in (artifact_digest(artifact.settings, weights), schema_1_digest(found[CONFIG], weights)):
        return [f"{version.reference} has other files than were exported: its digest is not {version.digest[:19]}…"]
    if artifact.chat_template is not None:
        found[CHAT_TEMPLATE] = sha256(artifact.chat_template)
    if found != {file.name: file.digest for file in version.files} or version.rank != artifact.rank:
        return [f"{version.reference}: what the manifest says of its files is not what they are"]
    return []


def _report(versions: tuple[PortableVersion, ...], landed: list[ImportResult], left: list[str]) -> Imported:
    done, notes = [], []
    for version, at in zip(versions, landed, strict=True):
        here = f"{version.adapter}@{at.number}"
        done.append(ImportedVersion(was=version.reference, version=here, created=at.created))
        if here != version.reference:
            why = "its number was used here already" if at.created else "that has the same files"
            notes.append(f"{version.reference} is {here} here: {why}.")
        if not at.created and at.state is not version.state:
            notes.append(f"{here} is {at.state} here and stays so.")
        if at.lost_parents:
            notes.append(f"{at.lost_parents} of the parents of {version.reference} are not here.")
    notes += [f"Alias {alias} names another version here and was left." for alias in left]
    return Imported(versions=tuple(done), notes=tuple(notes))
