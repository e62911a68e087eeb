"""From stored files back to a PEFT folder: verified, and there whole or not at all; and single small files."""

import os
from pathlib import Path

from lorarack.registry.artifact.adapter_config import config_for_base
from lorarack.registry.artifact.manifest import CHAT_TEMPLATE, CONFIG, DEFAULTS
from lorarack.registry.bases import get_base
from lorarack.registry.blobs.blob import copy_blob, read_blob
from lorarack.registry.blobs.staging import staging_folder
from lorarack.registry.disk import disk_errors, sync_folder
from lorarack.registry.errors import Conflict, Damaged
from lorarack.registry.interface import BlobStore, Catalog
from lorarack.registry.lifecycle import mark_damaged
from lorarack.registry.serving_defaults import ServingDefaults
from lorarack.registry.settings import check_path
from lorarack.registry.values import Base, Version
from lorarack.registry.versions import resolve


def fetch(catalog: Catalog, blobs: BlobStore, actor: str, version: Version | str, folder: Path) -> Path:
    """See ``Registry.fetch``."""
    found = resolve(catalog, version) if isinstance(version, str) else version
    try:
        return _write_folder(found, get_base(catalog, found.base), folder, blobs)
    except Damaged as error:
        raise mark_damaged(catalog, actor, found, error) from error


def read_file(catalog: Catalog, blobs: BlobStore, actor: str, version: Version, name: str) -> bytes | None:
    """A small file of a version; None where it has none of that name.

    Raises:
        Damaged: it has other bytes than were stored.
        StoreError: it is not there or cannot be read.
    """
    digest = version.file_digest(name)
    if digest is None:
        return None
    try:
        return read_blob(blobs, digest)
    except Damaged as error:
        raise mark_damaged(catalog, actor, version, error) from error


def chat_template(catalog: Catalog, blobs: BlobStore, actor: str, version: Version) -> str | None:
    """See ``Registry.chat_template``."""
    raw = read_file(catalog, blobs, actor, version, CHAT_TEMPLATE)
    return raw.decode(errors="replace") if raw is not None else None


def serving_defaults(catalog: Catalog, blobs: BlobStore, actor: str, version: Version) -> ServingDefaults:
    """See ``Registry.serving_defaults``."""
    from lorarack.registry.artifact.prompt_settings import parse_defaults

    raw = read_file(catalog, blobs, actor, version, DEFAULTS)
    try:
        return parse_defaults(raw) if raw is not None else ServingDefaults()
    except ValueError as error:  # written by a later release
        raise Damaged(
            f"The defaults of {version.reference} cannot be read by this lorarack; upgrade it ({error})."
        ) from error


def _write_folder(version: Version, base: Base, folder: Path, blobs: BlobStore) -> Path:
    """Write ``version`` to ``folder`` as PEFT wants it, with the base's own id filled in.

    Raises:
        Conflict: the folder exists and is not empty.
        Damaged: a stored file has other bytes than were stored.
        StoreError: the disk.
    """
    place = free_place(folder)
    with staging_folder(place) as temporary:
        for file in version.files:
            if file.name == CONFIG:
                revision = base.hub_id.revision if base.hub_id else None
                _write(temporary / CONFIG, config_for_base(read_blob(blobs, file.digest), base.public_id, revision))
            else:
                copy_blob(blobs, file.digest, temporary / file.name)
        with disk_errors():
            temporary.chmod(0o755)
            temporary.rename(place)
            sync_folder(place.parent)
    return folder


def free_place(folder: Path) -> Path:
    """Where ``folder`` really is; it must be new or empty.

    Raises:
        Conflict: it is not, or it is a loop of links.
        UsageError: no path at all.
    """
    check_path(folder)
    with disk_errors():
        try:
            place = folder.resolve()
        except RuntimeError as error:
            raise Conflict(f"{str(folder)!r} is a link to itself; give another place.", code="exists") from error
        taken = place.exists() and (not place.is_dir() or any(place.iterdir()))
        if taken:
            raise Conflict(f"{str(folder)!r} exists and is not an empty folder; give another place.", code="exists")
        if place == Path.cwd():
            raise Conflict("The current folder cannot be replaced; give another one.", code="exists")
        return place


def _write(path: Path, data: bytes) -> None:
    with disk_errors(), path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
