"""Versions of an export into a registry: all of them, or none."""

import hashlib
import stat
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from lorarack.registry.artifact.folder import open_folder
from lorarack.registry.artifact.manifest import (
    CONFIG,
    WEIGHTS,
    artifact_digest,
    prompt_files_of,
    schema_1_digest,
    sha256,
)
from lorarack.registry.artifact.prompt_settings import stored_files
from lorarack.registry.artifact.validate import check_numbers, inspect_artifact
from lorarack.registry.artifact.weights import LargestNumbers
from lorarack.registry.base_model.known_base import KnownBase
from lorarack.registry.disk import WatchedFile, disk_errors, pump
from lorarack.registry.errors import BlobGone, InvalidArtifact, NotFound
from lorarack.registry.hub.base_files import files_of
from lorarack.registry.interface import BlobStore, Catalog
from lorarack.registry.publish import MAX_STORES, VersionMetadata, store, under_known_digest
from lorarack.registry.queries import Imported, ImportedVersion
from lorarack.registry.records import ArtifactKey, ImportResult, ImportRow
from lorarack.registry.transfer.manifest import (
    MANIFEST,
    Manifest,
    PortableBase,
    PortableVersion,
    refused,
    version_folder,
)
from lorarack.registry.transfer.read_manifest import read_manifest
from lorarack.registry.values import Base


def import_from(catalog: Catalog, blobs: BlobStore, actor: str, folder: Path) -> Imported:
    """See ``Registry.import_from``."""
    with disk_errors():
        manifest = read_manifest(folder)
        bases = _bases_of(catalog, manifest)
        for adapter in manifest.adapters:
            catalog.check_adapter(adapter.name, bases[adapter.name].name)
        problems = [problem for v in manifest.versions for problem in _problems(folder, v, bases[v.adapter])]
    if problems:
        raise refused(problems, folder)
    for _ in range(MAX_STORES):
        rows = [_store(catalog, blobs, folder, version, bases[version.adapter]) for version in manifest.versions]
        here = {
            (version.adapter, version.digest): (version.adapter, row.new.digest)
            for version, row in zip(manifest.versions, rows, strict=True)
        }
        rows = [
            replace(row, parents=tuple((here.get(known, known), relation) for known, relation in row.parents))
            for row in rows
        ]
        aliases = {
            adapter: {alias: here[known] for alias, known in names.items()}
            for adapter, names in _aliases(manifest).items()
        }
        with suppress(BlobGone):  # `gc` may take a file that no version has yet
            results, left = catalog.import_versions(actor, rows, aliases, blobs.has)
            return _report(manifest.versions, results, left)
    raise BlobGone


def _bases_of(catalog: Catalog, manifest: Manifest) -> dict[str, Base]:
    """By adapter, the base here. Raises ``NotFound``."""
    here = _known_here(catalog.bases(), manifest.bases)
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


def _store(catalog: Catalog, blobs: BlobStore, folder: Path, version: PortableVersion, base: Base) -> ImportRow:
    about = VersionMetadata(version.metrics, version.tags, version.description, version.provenance)
    try:
        new, _ = store(version_folder(folder, version), version.adapter, base, about, blobs)
    except InvalidArtifact as error:
        raise refused([f"{version.reference}: {problem}" for problem in error.problems], folder) from error
    if {file.name: file.digest for file in new.files} != {file.name: file.digest for file in version.files}:
        raise refused([f"the files of {version.reference} changed while they were imported"], folder)
    known = catalog.same_weights(version.adapter, new.files)
    if version.digest not in dict(known):
        new = under_known_digest(new, known, blobs)
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


def _aliases(manifest: Manifest) -> dict[str, dict[str, ArtifactKey]]:
    digests = {(version.adapter, version.number): version.digest for version in manifest.versions}
    found: dict[str, dict[str, ArtifactKey]] = defaultdict(dict)
    for adapter in manifest.adapters:
        for alias, number in adapter.aliases.items():
            found[adapter.name][alias] = (adapter.name, digests[adapter.name, number])
    return found


def _problems(root: Path, version: PortableVersion, base: Base) -> list[str]:
    """Why this version cannot be imported: links, files that are no adapter of the base, other bytes than were exported."""
    wrong = _link_problem(root, version)
    if wrong:
        return [wrong]
    folder = version_folder(root, version)
    try:
        with open_folder(folder) as opened:
            artifact = inspect_artifact(opened, base, KnownBase(base, files_of))
            largest, digest = LargestNumbers(artifact.tensors), hashlib.sha256()
            opened.weights.seek(0)
            with WatchedFile(opened.weights, largest.feed) as source:
                pump(source, digest.update)
            check_numbers(opened.weights, artifact, largest, str(folder))
            weights = f"sha256:{digest.hexdigest()}"
    except InvalidArtifact as error:
        return [f"{version.reference}: {problem}" for problem in error.problems]
    found = {CONFIG: sha256(artifact.canonical), WEIGHTS: weights}
    found |= {name: sha256(data) for name, data in stored_files(artifact.prompt_settings).items()}
    if version.digest not in (
        artifact_digest(artifact.settings, weights, prompt_files_of(found)),
        artifact_digest(artifact.settings, weights),
        schema_1_digest(found[CONFIG], weights),
    ):
        return [f"{version.reference} has other files than were exported: its digest is not {version.digest[:19]}…"]
    if found != {file.name: file.digest for file in version.files} or version.rank != artifact.rank:
        return [f"{version.reference}: what the manifest says of its files is not what they are"]
    return []


def _link_problem(root: Path, version: PortableVersion) -> str | None:
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


def _report(versions: tuple[PortableVersion, ...], results: Sequence[ImportResult], left: Sequence[str]) -> Imported:
    done, notes = [], []
    for version, at in zip(versions, results, strict=True):
        here = f"{version.adapter}@{at.number}"
        done.append(ImportedVersion(was=version.reference, version=here, created=at.created))
        if here != version.reference:
            why = "its number was used here already" if at.created else "that has the same files"
            notes.append(f"{version.reference} is {here} here: {why}.")
        if not at.created and at.state is not version.state:
            notes.append(f"{here} is {at.state} here; its state was not changed.")
        if at.lost_parents:
            notes.append(f"{at.lost_parents} of the parents of {version.reference} are not here.")
    notes += [f"Alias {alias} names another version here and was left." for alias in left]
    return Imported(versions=tuple(done), notes=tuple(notes))
