"""The operations. Python callers, the command line and the server all come through here."""

import getpass
import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from lorarack.registry import fetching, publishing
from lorarack.registry.base_model.files import find_files
from lorarack.registry.base_model.fingerprint import read_base
from lorarack.registry.blobs import FolderBlobs
from lorarack.registry.catalog.database import Database
from lorarack.registry.catalog.reading import CatalogReader
from lorarack.registry.catalog.writing import CatalogWriter
from lorarack.registry.errors import NotFound, UsageError
from lorarack.registry.reference import check_adapter_name, check_alias_name, parse_reference
from lorarack.registry.resolution import AdapterView, did_you_mean, resolve
from lorarack.registry.settings import default_registry
from lorarack.registry.snapshot import Snapshot
from lorarack.registry.texts import check_tags, check_text
from lorarack.registry.values import Adapter, Alias, Base, Metric, Provenance, Published, State, Version


class Registry:
    """A registry in a folder: a catalog (SQLite) and content-addressed files. Any number of processes may share it."""

    def __init__(self, home: Path, actor: str | None = None) -> None:
        self.home = home
        self._database = Database(home / "catalog.sqlite")
        self._blobs = FolderBlobs(home)
        self._reader = CatalogReader(self._database)
        self._writer = CatalogWriter(self._database, actor or _local_actor())

    def __enter__(self) -> "Registry":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the database's connections; the registry opens them again when it is used again."""
        self._database.close()

    # Base models

    def add_base(self, source: str, name: str | None = None) -> Base:
        """Fingerprint the base model at ``source`` (a folder or ``ORG/REPO[@REVISION]``) and keep it under ``name``.

        The same model again, from wherever, is the same base and becomes known by one more id.

        Raises:
            NotFound: nothing there. InvalidArtifact: not a base model. Conflict: the name is taken. Unavailable: no Hub.
        """
        files = find_files(source)
        known_as = files.identity()
        chosen = check_adapter_name(name or _plain_name(known_as.value))
        return self.base(self._writer.add_base(read_base(files), chosen, known_as))

    def bases(self) -> tuple[Base, ...]:
        """All base models, by name."""
        return self._reader.bases()

    def base(self, ident: str) -> Base:
        """The base model with that name, Hub id, folder or fingerprint.

        Raises:
            NotFound: none; the sentence says how to add one.
        """
        bases = self.bases()
        folder = _real_path(ident)
        for base in bases:
            known = {base.name, base.fingerprint, *(i.value for i in base.ids), *_at_revisions(base)}
            if ident in known or any(i.kind == "path" and i.value == folder for i in base.ids):
                return base
        names = ", ".join(repr(base.name) for base in bases) or "none yet"
        raise NotFound(
            f"There is no base model {ident!r} (known: {names}); add one with 'lorarack base add FOLDER-OR-ID'.",
            code="unknown_base",
        )

    # Versions

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
    ) -> Published:
        """Make the PEFT folder a version of ``adapter``.

        The same digest again returns the old version, with the new metrics and tags added.

        Raises:
            UsageError: a bad name. NotFound: no such folder or base. InvalidArtifact: every problem of the folder at once.
            Conflict: the adapter stands on another base. StoreError: disk or database.
        """
        found = self.check_adapter(adapter, base)
        check_text(description, "description")
        check_tags(tags)
        about = publishing.About(metrics, tags, description, provenance)
        new, artifact = publishing.store(folder, adapter, found, about, self._blobs)
        number, created = self._writer.add_version(new)
        return Published(version=self._numbered(adapter, number), created=created, notes=artifact.notes)

    def check_adapter(self, adapter: str, base: str) -> Base:
        """The base, if versions of ``adapter`` could be published on it; for those who have long work before publishing.

        Raises:
            UsageError: a bad name. NotFound: no such base. Conflict: the adapter stands on another base, or a base has its name.
        """
        check_adapter_name(adapter)
        found = self.base(base)
        self._writer.check_adapter(adapter, found.name)
        return found

    def resolve(self, reference: str) -> Version:
        """The version that ``reference`` names.

        Raises:
            BadReference: not a reference. NotFound: nothing of that name. Conflict: not in a state to be used.
        """
        name = parse_reference(reference).name
        view = self._reader.adapter(name)
        return resolve(reference, {name: view} if view else {}, () if view else self._reader.names())

    def versions(self, adapter: str) -> tuple[Version, ...]:
        """All versions of an adapter, by number. Raises ``NotFound``."""
        return self._view(adapter).versions

    def adapters(self) -> tuple[Adapter, ...]:
        """All adapters, by name."""
        _, _, views = self._reader.everything(metrics=False)
        return tuple(_summary(view) for view in views.values())

    def add_metrics(self, reference: str, metrics: Sequence[Metric]) -> Version:
        """Add metrics to a version; returns it as it is then. Raises like ``resolve``."""
        version = self.resolve(reference)
        self._writer.add_metrics(version.adapter, version.number, metrics)
        return self._numbered(version.adapter, version.number)

    def fetch(self, version: Version | str, folder: Path) -> Path:
        """Write a version's files to ``folder`` as a PEFT folder, verified; there whole or not at all.

        Raises:
            Conflict: the folder is not empty. Damaged: stored bytes changed. StoreError: the disk. Else like ``resolve``.
        """
        found = self.resolve(version) if isinstance(version, str) else version
        return fetching.fetch(found, self.base(found.base), folder, self._blobs)

    def delete(self, reference: str) -> Version:
        """Forget a version; returns what it was. Its number is never used again.

        Raises:
            Conflict: an alias names it. UsageError: the reference can move to another version. Else like ``resolve``.
        """
        version = self.resolve(reference)
        if reference not in (version.reference, f"{version.adapter}@{version.digest}"):
            raise UsageError(f"Name the version itself to delete it: {version.reference}.", code="movable_reference")
        self._writer.delete_version(version.adapter, version.number)
        return version

    # Aliases

    def set_alias(
        self, adapter: str, alias: str, version: int, *, expect: int | None = None, reason: str | None = None
    ) -> Alias:
        """Point an alias at a version; the move is kept with actor, time and reason. To stay for a new reason is kept too.

        Args:
            adapter: the adapter's name.
            alias: the alias; made when it is new.
            version: the version's number.
            expect: the version that it must name now, else nothing happens.
            reason: why, for those who look at the history.

        Raises:
            UsageError: a bad alias name. NotFound: no such version. Conflict: not ready, or ``expect`` does not hold.
        """
        check_alias_name(alias)
        check_text(reason, "reason")
        self._view(adapter)
        self._writer.set_alias(adapter, alias, version, expect, reason)
        return next(found for found in self.aliases(adapter) if found.name == alias)

    def aliases(self, adapter: str | None = None) -> tuple[Alias, ...]:
        """Where the aliases (of one adapter) point now. Raises ``NotFound``."""
        if adapter is not None:
            self._view(adapter)
        return self._reader.aliases(adapter)

    def alias_history(self, adapter: str, alias: str | None = None) -> tuple[Alias, ...]:
        """Every move of the adapter's aliases, or of one of them, oldest first. Raises ``NotFound``."""
        self._view(adapter)
        moves = self._reader.alias_moves(adapter, alias)
        if alias is not None and not moves:
            raise NotFound(f"Adapter {adapter!r} has never had an alias {alias!r}.", code="unknown_alias")
        return moves

    # For those who follow the registry

    def changes(self) -> int:
        """A number that grows with every committed write; cheap to ask for."""
        return self._reader.changes()

    def snapshot(self) -> Snapshot:
        """Everything in memory, of one moment."""
        changes, bases, views = self._reader.everything(metrics=False)
        return Snapshot(changes=changes, bases={base.name: base for base in bases}, adapters=views)

    def _view(self, adapter: str) -> AdapterView:
        view = self._reader.adapter(check_adapter_name(adapter))
        if view is None:
            from difflib import get_close_matches

            near = get_close_matches(adapter, self._reader.names(), n=3)
            raise NotFound(f"There is no adapter {adapter!r}.{did_you_mean(near)}", near=near, code="unknown_reference")
        return view

    def _numbered(self, adapter: str, number: int) -> Version:
        return self.resolve(f"{adapter}@{number}")


def open_registry(where: str | Path | None = None) -> Registry:
    """Open the registry in folder ``where`` (default: ``LORARACK_REGISTRY``, else the home folder), made when it is new.

    Raises:
        UsageError: a URL, which this version cannot open. StoreError: the folder cannot be used.
    """
    place = str(where or default_registry())
    if "://" in place:
        raise UsageError(f"{place!r} is a URL; this version of lorarack opens folders only.", code="bad_registry")
    return Registry(Path(place).expanduser().absolute())


def _local_actor() -> str:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # no such user in the password file, as in some containers
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def _plain_name(identity: str) -> str:
    return identity.rstrip("/").rpartition("/")[2].lower().replace(" ", "-")[:63]


def _real_path(ident: str) -> str | None:
    try:
        return os.path.realpath(os.path.expanduser(ident))
    except ValueError:  # a NUL
        return None


def _at_revisions(base: Base) -> set[str]:
    return {f"{known.value}@{known.revision}" for known in base.ids if known.kind == "hub" and known.revision}


def _summary(view: AdapterView) -> Adapter:
    ready = [version for version in view.versions if version.state is State.READY]
    return Adapter(
        name=view.name,
        base=view.base,
        versions=len(view.versions),
        latest=ready[-1].number if ready else None,
        ranks=tuple(sorted({version.rank for version in ready})),
        aliases=dict(sorted(view.aliases.items())),
        created_at=view.created_at,
    )
