"""Publishing: from a folder to stored files and a version."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from io import FileIO
from pathlib import Path

from lorarack.registry.artifact.folder import open_folder
from lorarack.registry.artifact.manifest import CONFIG, WEIGHTS, artifact_digest, prompt_files_of, sha256
from lorarack.registry.artifact.prompt_settings import stored_files
from lorarack.registry.artifact.validate import Artifact, check_numbers, inspect_artifact
from lorarack.registry.artifact.weights import HeaderError, LargestNumbers, Tensor, read_tensors
from lorarack.registry.base_model.known_base import KnownBase
from lorarack.registry.bases import check_adapter, find_base, is_called, originals
from lorarack.registry.blobs.blob import check_blob, read_blob
from lorarack.registry.disk import WatchedFile, disk_errors
from lorarack.registry.errors import BlobGone, Conflict, InvalidArtifact, LorarackError, StoreError
from lorarack.registry.hub.base_files import files_of
from lorarack.registry.interface import BlobStore, Catalog
from lorarack.registry.records import NewVersion
from lorarack.registry.serving_defaults import ServingDefaults
from lorarack.registry.texts import check_metrics, check_provenance, check_tags, check_text
from lorarack.registry.values import Base, Metric, Parent, Provenance, Published, State, StoredFile, Version
from lorarack.registry.versions import get_version

#: How often files are stored for one version before it is given up.
MAX_STORES = 10


@dataclass(frozen=True, slots=True)
class VersionMetadata:
    """A version's metadata from its publisher."""

    metrics: Sequence[Metric] = ()
    tags: Mapping[str, str] | None = None
    description: str | None = None
    provenance: Provenance | None = None
    parents: tuple[Parent, ...] = ()
    #: In place of what the folder says; None: what it says.
    defaults: ServingDefaults | None = None


def publish(
    catalog: Catalog, blobs: BlobStore, actor: str, folder: Path, adapter: str, ident: str, about: VersionMetadata
) -> Published:
    """See ``Registry.publish``; ``ident`` is the base's."""
    base = check_adapter(catalog, adapter, ident)
    check_text(about.description, "description")
    check_tags(about.tags)
    check_metrics(about.metrics)
    check_provenance(about.provenance)
    for parent in about.parents:
        get_version(catalog, parent.version)
    for _ in range(MAX_STORES):
        new, artifact = store(folder, adapter, base, about, blobs, partial(_check_base, catalog, base))
        known = catalog.same_weights(adapter, new.files)
        new = under_known_digest(new, known, blobs)
        twin = _twin(catalog, new, dict(known))
        new = _with_origin_of(twin, new)
        # `gc` may have taken a file that no version had yet: it is stored again. Between two such takings lies gc's grace.
        with suppress(BlobGone):
            version, created = catalog.add_version(actor, new, blobs.has)
            notes = (*artifact.notes, *_prompt_notes(artifact, about, base))
            if twin and created:
                notes = (
                    *notes,
                    f"It has the weights of {twin.reference} and is asked otherwise: a version of its own.",
                )
            if version.state is State.DAMAGED:
                version = _repaired(catalog, blobs, actor, version, new.files)
                notes = (
                    *notes,
                    f"{version.reference} was damaged; these files are in its place, and it is ready again.",
                )
            return Published(version=version, created=created, notes=notes)
    raise BlobGone


def _prompt_notes(artifact: Artifact, about: VersionMetadata, base: Base) -> Iterator[str]:
    """What servers will do to requests for it: the publisher may not know what is in the folder."""
    template = artifact.prompt_settings.chat_template
    if template is not None and sha256(template.strip()) != base.template:
        yield f"Its chat template is not that of base {base.name!r}: servers render its chats with its own."
    defaults = artifact.prompt_settings.defaults if about.defaults is None else about.defaults
    if defaults and defaults.given:
        yield f"Servers fill in where requests are silent: {', '.join(defaults.words)}."


def _twin(catalog: Catalog, new: NewVersion, known: Mapping[str, tuple[StoredFile, ...]]) -> Version | None:
    """The newest version of the adapter with the weights and the configuration of ``new``, which is asked otherwise."""
    if new.digest in known:
        return None
    config = next(file for file in new.files if file.name == CONFIG)
    same = [get_version(catalog, f"{new.adapter}@{digest}") for digest, files in known.items() if config in files]
    return max(same, key=lambda version: version.number, default=None)


def _with_origin_of(twin: Version | None, new: NewVersion) -> NewVersion:
    """``new`` with where the weights of ``twin`` come from, unless the publisher says it."""
    if twin is None or new.provenance is not None or new.parents:
        return new
    return replace(new, provenance=twin.provenance, parents=(Parent(version=twin.reference, relation="reprompted"),))


def store(
    folder: Path,
    adapter: str,
    base: Base,
    about: VersionMetadata,
    blobs: BlobStore,
    check_base: Callable[[bytes], None] = lambda config: None,
) -> tuple[NewVersion, Artifact]:
    """Check the adapter in ``folder`` and store its files; the catalog is not touched.

    The files are opened once, and the weights are read once. What is stored is what was checked: the numbers are looked at in
    the very bytes that are copied, the header in the copy. A crash after this leaves only files that nothing refers to.

    Args:
        folder: where a PEFT folder is.
        adapter: the adapter's name.
        base: the base model that it must fit.
        about: what is said about it beside its files.
        blobs: where the files go.
        check_base: called with the configuration's bytes before anything else is looked at; what it raises comes out.

    Raises:
        NotFound, InvalidArtifact: as ``read_artifact``; nothing is stored then.
        Conflict: the folder changed meanwhile.
        StoreError: the disk.
    """
    with disk_errors(), open_folder(folder) as opened:
        check_base(opened.read(CONFIG) or b"")
        before = _stamp(opened.weights)
        artifact = inspect_artifact(opened, base, KnownBase(base, files_of))

        def check(copy: FileIO) -> None:
            if _stamp(opened.weights) != before or _tensors(copy) != artifact.tensors:
                raise Conflict(
                    f"{str(folder / WEIGHTS)!r} changed during publish; retry once nothing is writing to it.",
                    code="changed",
                )
            check_numbers(copy, artifact, largest, str(folder))

        largest = LargestNumbers(artifact.tensors)
        with WatchedFile(opened.weights, largest.feed) as source:
            weights = blobs.put(source, check)
    files = [
        StoredFile(name=CONFIG, digest=blobs.put(artifact.canonical), bytes=len(artifact.canonical)),
        StoredFile(name=WEIGHTS, digest=weights, bytes=artifact.weights_bytes),
    ]
    for name, data in stored_files(artifact.prompt_settings, about.defaults).items():
        files.append(StoredFile(name=name, digest=blobs.put(data), bytes=len(data)))
    new = NewVersion(
        adapter=adapter,
        base=base.name,
        digest=_digest(artifact, files, folder),
        rank=artifact.rank,
        alpha=artifact.config.lora_alpha,
        rslora=artifact.config.use_rslora,
        target_modules=artifact.target_modules,
        dtype=artifact.dtype,
        parameters=artifact.parameters,
        bytes=artifact.weights_bytes,
        files=tuple(files),
        metrics=(*artifact.curves, *about.metrics),
        measured=_measured(artifact, about),
        tags=about.tags or {},
        description=about.description,
        provenance=about.provenance,
        parents=about.parents,
    )
    return new, artifact


def under_known_digest(
    new: NewVersion, same_weights: Iterable[tuple[str, tuple[StoredFile, ...]]], blobs: BlobStore
) -> NewVersion:
    """``new`` under the digest that the same artifact has here already.

    Up to 0.1.0 a digest covered more of the configuration than what is applied, and no chat template. A version keeps the
    digest that it was published with, so whether an old one is the same artifact is told from its stored files.

    Args:
        new: what is about to be added.
        same_weights: digest and files of each version of the adapter that has the same weight file.
        blobs: where the files are.
    """
    known = dict(same_weights)
    own = _digests(new.files)
    prompt_files = prompt_files_of(own)
    for digest, files in known.items() if new.digest not in known else ():
        found = _digests(files)
        if prompt_files_of(found) != prompt_files:
            continue
        config = found.get(CONFIG, "")
        # A configuration that is missing or damaged tells nothing.
        with suppress(LorarackError, ValueError, RecursionError):
            same = config == own[CONFIG]
            if same or artifact_digest(json.loads(read_blob(blobs, config)), own[WEIGHTS], prompt_files) == new.digest:
                return replace(new, digest=digest)
    return new


def _check_base(catalog: Catalog, base: Base, config: bytes) -> None:
    """Refuse an adapter that names another base that is known here, unless one of the two is a copy of the other."""
    named = _named_base(config)
    if named is None or is_called(base, named):
        return
    bases = catalog.bases()
    # A folder only by its whole path, for it was written elsewhere.
    other = find_base(bases, named, folders=Path(named).is_absolute())
    if other is None or originals(other, bases)[-1].name == originals(base, bases)[-1].name:
        return
    from lorarack.registry.base_model.difference import difference

    raise Conflict(
        f"The adapter says that it was trained on base {other.name!r}, not on {base.name!r}: {difference(other, base)}; "
        f"give --base {other.name}, or, if one is a copy of the other, say so with 'lorarack base link'.",
        code="other_base",
    )


def _named_base(config: bytes) -> str | None:
    """The base that an adapter's configuration names; None where it names none that can be read."""
    try:
        named = json.loads(config).get("base_model_name_or_path")
    except (ValueError, RecursionError, AttributeError):
        return None  # the check of the artifact says what is wrong
    return named if isinstance(named, str) and named else None


def _repaired(catalog: Catalog, blobs: BlobStore, actor: str, version: Version, new: Sequence[StoredFile]) -> Version:
    """The damaged version, made ready by ``new`` files, which hold the same artifact.

    Raises:
        Damaged: one of its other files is damaged too.
        BlobGone: ``gc`` took a file that the version did not have yet.
    """
    files = {file.name: file for file in (*version.files, *new)}
    for file in files.values():
        try:
            check_blob(blobs, file.digest)
        except StoreError as error:
            if error.code == "missing" and file not in version.files:
                raise BlobGone from error
            raise
    catalog.repair(actor, version.adapter, version.number, tuple(files.values()), blobs.has)
    return get_version(catalog, version.reference, with_curves=True)


def _measured(artifact: Artifact, about: VersionMetadata) -> Metric | None:
    """The metric that the run measured for these weights, unless the publisher gives one of that label."""
    final = artifact.final
    return None if final and any(said.step is None and said.label == final.label for said in about.metrics) else final


def _digest(artifact: Artifact, files: Sequence[StoredFile], folder: Path) -> str:
    digests = _digests(files)
    try:
        return artifact_digest(artifact.settings, digests[WEIGHTS], prompt_files_of(digests))
    except ValueError as error:
        raise InvalidArtifact([str(error)], subject=f"The folder {str(folder)!r}") from error


def _digests(files: Sequence[StoredFile]) -> dict[str, str]:
    return {file.name: file.digest for file in files}


def _tensors(copy: FileIO) -> tuple[Tensor, ...]:
    """The tensors of a copy; none where it is not whole, because its source was written to meanwhile."""
    try:
        return read_tensors(copy)
    except HeaderError:
        return ()


def _stamp(file: FileIO) -> tuple[int, int]:
    found = os.fstat(file.fileno())
    return found.st_size, found.st_mtime_ns
