"""Whether stored bytes still are what was stored; a version whose bytes are not is taken out of use."""

from lorarack.registry.blobs.verified import check_blob
from lorarack.registry.errors import Damaged
from lorarack.registry.interface import BlobStore, Catalog
from lorarack.registry.values import Version


def verify(catalog: Catalog, blobs: BlobStore, actor: str, version: Version) -> Version:
    """See ``Registry.verify``."""
    try:
        for file in version.files:
            check_blob(blobs, file.digest)
    except Damaged as error:
        raise mark_damaged(catalog, actor, version, error) from error
    return version


def mark_damaged(catalog: Catalog, actor: str, version: Version, error: Damaged) -> Damaged:
    """Take ``version`` out of use after its stored bytes were found to be others; the error to raise."""
    marked = catalog.mark_damaged(actor, version.adapter, version.number, version.digest, error.message)
    now = "is damaged and now out of use" if marked else "is damaged"
    return Damaged(f"{version.reference} {now}. {error.message}")
