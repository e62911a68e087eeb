"""Versions: in, out, and what is said about them."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from lorarack.registry.errors import BlobGone, Conflict, Damaged
from lorarack.registry.operations.bases import BaseOperations, is_called
from lorarack.registry.reference import check_adapter_name
from lorarack.registry.texts import check_metrics, check_provenance, check_tags, check_text, check_unicode
from lorarack.registry.values import Adapter, Base, Metric, Parent, Provenance, Published, State, StoredFile, Version

#: How often a publisher stores its files before it gives up.
_STORINGS = 10


class VersionOperations(BaseOperations):
    """What can be done with versions."""

    def publish(
        self,
        folder: Path,
        adapter: str,
        *,
        base: str,
        metrics: Sequence[Metric] = (),
        tags: Mapping[str, str] | None = None,
        description: str | None = None,
        provenance: Provenance | None = None,
        parents: Sequence[Parent] = (),
    ) -> Published:
        """Make the PEFT folder a version of ``adapter``.

        The same digest again returns the old version, with the new metrics, tags and parents added; a damaged one is repaired by
        these files.

        Raises:
            UsageError: a bad name. NotFound: no such folder, base or parent. InvalidArtifact: every problem of the folder at once.
            Conflict: the adapter stands on another base, says that it was trained on one, or is there and was put aside.
            StoreError: disk or database.
        """
        from lorarack.registry import publish

        found = self.check_adapter(adapter, base)
        check_text(description, "description")
        check_tags(tags)
        check_metrics(metrics)
        check_provenance(provenance)
        about = publish.VersionMetadata(metrics, tags, description, provenance, tuple(parents))
        for parent in parents:
            self._exact(parent.version)
        for _ in range(_STORINGS):
            check_base = partial(self._check_base, found)
            new, artifact = publish.store(folder, adapter, found, about, self._blobs, check_base)
            new = publish.under_known_digest(new, self._reader.same_weights(adapter, new.files), self._blobs)
            # `gc` may have taken a file that no version had yet: it is stored again. Between two such takings lies gc's grace.
            with suppress(BlobGone):
                number, created = self._writer.add_version(new, self._blobs.has)
                break
        else:
            raise BlobGone
        version, notes = self._exact(f"{adapter}@{number}", with_curves=True), artifact.notes
        if version.state is State.DAMAGED:
            version = self._repaired(version, new.files)
            notes = (*notes, f"{version.reference} was damaged; these files are in its place, and it is ready again.")
        return Published(version=version, created=created, notes=notes)

    def check_adapter(self, adapter: str, base: str) -> Base:
        """The base, if versions of ``adapter`` could be published on it; for those who have long work before publish.

        Raises:
            UsageError: a bad name.
            NotFound: no such base.
            Conflict: the adapter stands on another base, a base has its name, or vLLM serves no adapters on such a base.
        """
        check_adapter_name(adapter)
        found = self.base(base)
        self._check_takes_lora(found)
        self._writer.check_adapter(adapter, found.name)
        return found

    def versions(self, adapter: str, *, with_curves: bool = False) -> tuple[Version, ...]:
        """All versions of an adapter, by number; ``with_curves``: with the points of their metrics' curves.

        Raises:
            NotFound: no such adapter.
        """
        return self._view(adapter, with_curves=with_curves).versions

    def adapters(self) -> tuple[Adapter, ...]:
        """All adapters, by name."""
        return self._reader.adapters()

    def add_metrics(self, reference: str, metrics: Sequence[Metric]) -> Version:
        """Add metrics to a version; returns it as it is then. Raises like ``resolve``."""
        check_metrics(metrics)
        version = self._exact(reference)
        self._writer.add_metrics(version.adapter, version.number, metrics)
        return self._exact(version.reference)

    def describe(
        self,
        reference: str,
        *,
        tags: Mapping[str, str] | None = None,
        without: Sequence[str] = (),
        description: str | None = None,
    ) -> Version:
        """Set tags, remove those with the keys ``without``, set the description (empty: remove it).

        Raises:
            UsageError: a tag or text that cannot be kept. Else like ``resolve``.
        """
        check_tags(tags)
        check_text(description, "description")
        for key in without:
            check_unicode(key, "tag")
        version = self._exact(reference)
        self._writer.describe(version.adapter, version.number, tags or {}, without, description)
        return self._exact(version.reference)

    def fetch(self, version: Version | str, folder: Path) -> Path:
        """Write a version's files to ``folder`` as a PEFT folder, verified; there whole or not at all.

        A version of which bytes were read that are not those that were stored is marked as damaged.

        Raises:
            Conflict: the folder is not empty. Damaged: stored bytes changed. StoreError: the disk, or files that are not there.
            Else like ``resolve``.
        """
        from lorarack.registry import fetch

        found = self.resolve(version) if isinstance(version, str) else version
        try:
            return fetch.fetch(found, self.base(found.base), folder, self._blobs)
        except Damaged as error:
            raise self._damaged(found, error) from error

    def verify(self, reference: str) -> Version:
        """Read all stored bytes of a version; one that has others than were stored is marked as damaged.

        Raises:
            Damaged: it has. StoreError: files that are not there or cannot be read. Else like ``resolve``, but in any state.
        """
        found = self._exact(reference)
        self._verify(found)
        return found

    def _check_base(self, base: Base, config: bytes) -> None:
        """Refuse an adapter that names another base that is known here, unless one of the two is a copy of the other."""
        from lorarack.registry import publish
        from lorarack.registry.base_model.difference import difference

        named = publish.named_base(config)
        other = self._known_base(named) if named and not is_called(base, named) else None
        if other is None or self._copied_from(other) == self._copied_from(base):
            return
        raise Conflict(
            f"The adapter says that it was trained on base {other.name!r}, not on {base.name!r}: {difference(other, base)}; "
            f"give --base {other.name}, or, if one is a copy of the other, say so with 'lorarack base link'.",
            code="other_base",
        )

    def _repaired(self, version: Version, new: Sequence[StoredFile]) -> Version:
        """The damaged version, made ready by ``new`` files, which hold the same artifact. Raises ``Damaged``."""
        from lorarack.registry.blobs.verified import check_blob

        files = {file.name: file for file in (*version.files, *new)}
        for file in files.values():
            check_blob(self._blobs, file.digest)
        self._changer.repair(version.adapter, version.number, tuple(files.values()))
        return self._exact(version.reference, with_curves=True)
