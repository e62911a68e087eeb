"""From a checked artifact to stored files and a digest."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from lorarack.registry.artifact.limits import MAX_CONFIG_BYTES
from lorarack.registry.artifact.manifest import CHAT_TEMPLATE, CONFIG, WEIGHTS, artifact_digest
from lorarack.registry.artifact.validate import Artifact, look_at
from lorarack.registry.blobs import FolderBlobs
from lorarack.registry.catalog.inserting import NewVersion
from lorarack.registry.disk import disk_errors
from lorarack.registry.errors import Conflict, InvalidArtifact
from lorarack.registry.values import Base, Metric, Parent, Provenance, StoredFile

#: Fewer bytes are looked at in less time than a thread takes to begin on a busy machine.
_WORTH_A_THREAD = 2 * 2**20


@dataclass(frozen=True, slots=True)
class About:
    """What a publisher says about a version beside its files."""

    metrics: Sequence[Metric] = ()
    tags: Mapping[str, str] | None = None
    description: str | None = None
    provenance: Provenance | None = None
    parents: tuple[Parent, ...] = ()


def named_base(folder: Path) -> str | None:
    """The base that the adapter in ``folder`` says it was trained on; None where it says nothing that can be read."""
    path = folder / CONFIG
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > MAX_CONFIG_BYTES:
            return None
        named = json.loads(path.read_bytes()).get("base_model_name_or_path")
    except (OSError, ValueError, RecursionError, AttributeError):
        return None  # read_artifact says what is wrong
    return named if isinstance(named, str) and named else None


def store(folder: Path, adapter: str, base: Base, about: About, blobs: FolderBlobs) -> tuple[NewVersion, Artifact]:
    """Check the adapter in ``folder`` and store its files; the catalog is not touched.

    A crash after this leaves only files that nothing refers to.

    Raises:
        NotFound, InvalidArtifact: as ``read_artifact``; nothing is stored then.
        Conflict: the folder was written to meanwhile.
        StoreError: the disk.
    """
    weights = folder / WEIGHTS
    before = _stamp(weights)
    with disk_errors():
        artifact, check_numbers = look_at(folder, base)
    beside = artifact.weights_bytes >= _WORTH_A_THREAD
    with (
        _running_beside(check_numbers) if beside else nullcontext(check_numbers) as checked,
        blobs.staged(weights) as keep,
    ):
        try:
            checked()
        except InvalidArtifact:
            _refuse_changed(weights, before)  # what was looked at was then neither the old file nor the new
            raise
        files = [
            StoredFile(name=CONFIG, digest=blobs.put_bytes(artifact.config), bytes=len(artifact.config)),
            StoredFile(name=WEIGHTS, digest=keep(), bytes=artifact.weights_bytes),
        ]
    if artifact.chat_template is not None:
        template = artifact.chat_template
        files.append(StoredFile(name=CHAT_TEMPLATE, digest=blobs.put_bytes(template), bytes=len(template)))
    _refuse_changed(weights, before)
    new = NewVersion(
        adapter=adapter,
        base=base.name,
        digest=artifact_digest(files[0].digest, files[1].digest),
        rank=artifact.rank,
        alpha=artifact.alpha,
        rslora=artifact.rslora,
        target_modules=artifact.target_modules,
        dtype=artifact.dtype,
        parameters=artifact.parameters,
        bytes=artifact.weights_bytes,
        files=tuple(files),
        metrics=(*artifact.curves, *about.metrics),
        tags=about.tags or {},
        description=about.description,
        provenance=about.provenance,
        parents=about.parents,
    )
    return new, artifact


def _refuse_changed(weights: Path, before: tuple[int, int] | None) -> None:
    if _stamp(weights) != before:
        raise Conflict(
            f"{str(weights)!r} was written to while it was published; try again when it rests.", code="changed"
        )


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None  # read_artifact says what is missing
    return found.st_size, found.st_mtime_ns


@contextmanager
def _running_beside(work: Callable[[], None]) -> Iterator[Callable[[], None]]:
    """``work`` runs in a thread of its own; the function waits for it and raises what it raised. Nobody leaves before its end.

    Looking at numbers, hashing and copying all let other threads run.
    """
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(work)
        yield running.result
