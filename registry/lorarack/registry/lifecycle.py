"""States, leases and deletion; and whether stored bytes still are what was stored."""

from collections.abc import Sequence

from lorarack.registry.blobs.blob import check_blob
from lorarack.registry.errors import Damaged, UsageError
from lorarack.registry.evaluations import kept_digests, remove_evaluations
from lorarack.registry.interface import BlobStore, Catalog
from lorarack.registry.reference import parse_reference
from lorarack.registry.texts import MAX_NAME, check_text
from lorarack.registry.values import State, Version
from lorarack.registry.versions import get_version


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


def archive(catalog: Catalog, actor: str, reference: str, reason: str | None) -> Version:
    """See ``Registry.archive``."""
    return _set_state(catalog, actor, reference, State.ARCHIVED, reason)


def quarantine(catalog: Catalog, actor: str, reference: str, reason: str) -> Version:
    """See ``Registry.quarantine``."""
    check_text(reason, "reason")
    if not reason.strip():
        raise UsageError("Say why it is quarantined; others will read it.", code="no_reason")
    return _set_state(catalog, actor, reference, State.QUARANTINED, reason)


def restore(catalog: Catalog, blobs: BlobStore, actor: str, reference: str, reason: str | None) -> Version:
    """See ``Registry.restore``."""
    verify(catalog, blobs, actor, _immovable(catalog, reference))
    return _set_state(catalog, actor, reference, State.READY, reason)


def delete(catalog: Catalog, actor: str, location: str, reference: str) -> Version:
    """See ``Registry.delete``."""
    version = _immovable(catalog, reference)
    catalog.delete_version(actor, version.adapter, version.number)
    evaluations = kept_digests(location).get(version.digest)
    if evaluations is not None and all(other.digest != version.digest for other in catalog.snapshot().versions):
        remove_evaluations(evaluations)  # what a killed process leaves here is what ``gc`` finds
    return version


def lease(catalog: Catalog, versions: Version | Sequence[Version], holder: str, seconds: float) -> None:
    """See ``Registry.lease``.

    The end is a moment by the catalog's clock. A clock that is set back lets leases hold longer, which harms nothing, until the
    holder renews them by the new clock; one that is set forward ends them until then, and only an archived version could go in
    that time.
    """
    if not 0 < seconds <= 86400:
        raise UsageError(f"A lease of {seconds} seconds is out of range; give up to a day.", code="bad_lease")
    check_text(holder, "holder", MAX_NAME)
    wanted = [versions] if isinstance(versions, Version) else versions
    catalog.lease([(version.adapter, version.number) for version in wanted], holder, seconds)


def _set_state(catalog: Catalog, actor: str, reference: str, state: State, reason: str | None) -> Version:
    check_text(reason, "reason")
    version = _immovable(catalog, reference)
    catalog.set_state(actor, version.adapter, version.number, state, reason)
    return get_version(catalog, version.reference)


def _immovable(catalog: Catalog, reference: str) -> Version:
    """The version of a fixed ``reference``; a name that can move is refused."""
    parse_reference(reference)
    version = get_version(catalog, reference)
    if reference not in (version.reference, f"{version.adapter}@{version.digest}"):
        raise UsageError(
            f"{reference!r} can come to name another version; name the version itself: {version.reference}.",
            code="movable_reference",
        )
    return version
