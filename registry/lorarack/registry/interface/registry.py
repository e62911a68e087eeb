"""What callers use of a registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

# The calls are to be read as a table; the formatter would give each name a line.
# fmt: off
# isort: off

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from lorarack.registry.base_model.content import Progress
    from lorarack.registry.interface.experiments import Experiments
    from lorarack.registry.interface.keys import Keys
    from lorarack.registry.parity import ServingRecord
    from lorarack.registry.queries import Best, Diff, Exported, GcReport, Imported, Judgement
    from lorarack.registry.queries import Lineage, Page, Query, Retention, Rule
    from lorarack.registry.serving_defaults import ServingDefaults
    from lorarack.registry.snapshot import Snapshot
    from lorarack.registry.values import Adapter, Alias, Base, CheckedBase, Event, Metric, Parent, Provenance
    from lorarack.registry.values import Published, Version


class Registry(Protocol):
    """A registry of adapters, as ``open_registry`` opens it; it closes at the end of a ``with`` block.

    A ``reference`` (``support@3``, ``support@prod``, ``support@r8``) that is none raises ``BadReference``, one that names nothing
    ``NotFound``. A name, number or text that cannot be kept raises ``UsageError``, an unknown adapter or base ``NotFound``. Calls
    take versions in any state unless they say otherwise.
    """

    @property
    def location(self) -> str: """What opens this registry again, as ``--registry`` takes it."""
    @property
    def actor(self) -> str: """Who works here; every event names it."""

    @property
    def keys(self) -> Keys: """The keys of a server's clients."""
    @property
    def experiments(self) -> Experiments: """Live experiments on aliases."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...
    def close(self) -> None: """Free connections and files; a later call opens them again."""

    # Bases

    def add_base(self, source: str, name: str | None = None, *, use: bool = False, progress: Progress | None = None,
                 say: Callable[[str], None] = ...) -> Base:
        """Fingerprint the base model at ``source`` (a folder or ``ORG/REPO[@REVISION]``) and keep it under ``name``.

        The same model from another place is the same base, and that place is recorded too; ``use``: it is loaded from there
        from now on. ``name``: by default the last part of the source. ``progress`` hears the sizes of the pieces of weights that
        are read, ``say`` one sentence about each thing that is not as the caller may think.

        Raises:
            InvalidArtifact: not a base model.
            Conflict: the name is taken, the model has another name, or its files changed meanwhile.
            Unavailable: the Hub cannot be reached.
        """
    def bases(self) -> tuple[Base, ...]: """All base models, by name."""
    def base(self, ident: str) -> Base: """The base with that name, fingerprint or Hub id; else the one in that folder."""

    def check_base(self, ident: str, *, full: bool = False, progress: Progress | None = None) -> CheckedBase:
        """Whether a base's files still are the model that was added, and what to load.

        Quick: configuration, token table, headers and a sample of the weights. ``full``: every byte, except in files that have not
        been written to since they were hashed. A base on the Hub is pinned to its commit and not read.

        Raises:
            NotFound: no such base, or its folder is gone (``base_gone``).
            Conflict: the files are another model (``base_changed``).
            InvalidArtifact: the files are no model.
        """
    def link_base(self, name: str, original: str, relation: str) -> Base:
        """Record that base ``name`` was made from ``original``: ``quantized``, ``converted`` or ``finetuned``."""

    def originals(self, base: Base) -> tuple[Base, ...]:
        """``base`` and those that it is a quantized or converted copy of, nearest first: adapters of all of them fit it."""

    # Versions

    def publish(self, folder: Path, adapter: str, *, base: str, metrics: Sequence[Metric] = (),
                tags: Mapping[str, str] | None = None, description: str | None = None,
                provenance: Provenance | None = None, parents: Sequence[Parent] = (),
                defaults: ServingDefaults | None = None) -> Published:
        """Make the PEFT folder a version of ``adapter``; an adapter's first version also becomes its alias ``default``.

        The same digest again returns the version that has it, with the new metrics, tags and parents added; a damaged one is
        repaired by these files. ``defaults`` stand in the place of those in the folder; the same weights with others are another
        version, whose parent and provenance, if nothing is said of them, are those of the weights.

        Raises:
            InvalidArtifact: every problem of the folder at once.
            Conflict: the adapter belongs to another base or was trained on one, the version was archived or quarantined, or the
                folder changed during publish.
        """
    def check_adapter(self, adapter: str, base: str) -> Base:
        """The base, if versions of ``adapter`` could be published on it. ``Conflict``: another base, or it takes no adapters."""
    def resolve(self, reference: str, *, with_curves: bool = False) -> Version:
        """The version that ``reference`` names. ``Conflict``: it is not ready (archived ones resolve by number or digest)."""
    def get_version(self, reference: str, *, with_curves: bool = False) -> Version:
        """The version that ``reference`` names, in any state."""
    def versions(self, adapter: str, *, with_curves: bool = False) -> tuple[Version, ...]:
        """All versions of an adapter, by number; ``with_curves``: metrics at training steps too."""
    def adapters(self) -> tuple[Adapter, ...]: """All adapters, by name."""
    def add_metrics(self, reference: str, metrics: Sequence[Metric]) -> Version:
        """Add metrics to a version, except those that it has; returns it as it is then."""
    def describe(self, reference: str, *, tags: Mapping[str, str] | None = None, without: Sequence[str] = (),
                 description: str | None = None) -> Version:
        """Set tags, remove those with the keys ``without``, set the description (empty: remove it)."""
    def fetch(self, version: Version | str, folder: Path) -> Path:
        """Write a version's files to a new ``folder`` as PEFT reads it, verified; it is there whole or not at all.

        ``Conflict``: the folder is not empty; or as ``resolve``. ``Damaged``: as ``verify``.
        """
    def chat_template(self, version: Version) -> str | None:
        """The chat template that ``version`` was trained with, if it brought one. ``Damaged``: as ``verify``."""
    def serving_defaults(self, version: Version) -> ServingDefaults:
        """What ``version`` fills into requests that are silent. ``Damaged``: as ``verify``, or a form that is not known here."""
    def serving_record(self, version: Version) -> ServingRecord | None:
        """What the server found that loaded ``version`` last, as far as it was something new."""
    def keep_serving_record(self, version: Version, record: ServingRecord) -> None: """Keep another, which counts from now on."""
    def verify(self, reference: str) -> Version:
        """Read all stored bytes of a version. ``Damaged``: they have changed; a ready version is marked as damaged."""
    def diff(self, a: str, b: str) -> Diff:
        """How version ``b`` differs from ``a``, down to each module's delta weight. ``Damaged``: as ``verify``."""
    def lineage(self, reference: str) -> Lineage: """All ancestors and descendants of a version, and the bases behind it."""
    def search(self, query: Query) -> Page:
        """One page of the versions that ``query`` asks for; what is published between two pages moves nothing.

        ``GateRefused``: an order by a metric that was measured on several data sets, and none of them is named.
        """
    def best(self, adapter: str, metric: str, *, dataset: str | None = None) -> Best:
        """The best ready version by a finished metric; of equals the smaller rank, then the older one.

        Only values on one data set are ranked: ``dataset`` (the start of a digest, or ``none``), else that of most versions.

        Raises:
            NotFound: no ready version has the metric.
            GateRefused: it is not clear on which data set; the sentence lists them.
        """

    # Aliases

    def set_alias(self, adapter: str, alias: str, version: int, *, expect: int | None = None, reason: str | None = None) -> Alias:
        """Point an alias at a ready version. Compare-and-set with ``expect``, the number that it names now (0: it does not exist).

        ``Conflict``: the version is not ready, the alias does not name ``expect``, or an experiment runs on it.
        """
    def promote(self, adapter: str, alias: str, version: int, *, rule: Rule | Judgement | None = None, force: bool = False,
                reason: str | None = None) -> Alias:
        """Point an alias at a version if ``rule`` holds against the version that it names now; ``force``: even if not (recorded).

        Raises:
            GateRefused: the rule does not hold; the sentence has the figures.
            Conflict: the version is not ready, the alias moved while the rule was checked or since the judgement, or an experiment
                runs on it.
        """
    def rollback(self, adapter: str, alias: str, *, reason: str | None = None) -> Alias:
        """Point an alias at the ready version that it named before; again, at the one before that. ``Conflict``: there is none."""
    def aliases(self, adapter: str | None = None) -> tuple[Alias, ...]: """Where the aliases (of one adapter) point now."""
    def alias_history(self, adapter: str, alias: str | None = None) -> tuple[Alias, ...]:
        """Every move of the adapter's aliases, or of one of them, oldest first."""

    # States and removal. The reference must be fixed (a number or digest); ``UsageError``: it can move.

    def archive(self, reference: str, reason: str | None = None) -> Version:
        """Put a version aside: it resolves by number and digest only, and ``gc`` may remove it. ``Conflict``: it is in use."""
    def quarantine(self, reference: str, reason: str) -> Version: """Refuse a version to all users, whatever names it."""
    def restore(self, reference: str, reason: str | None = None) -> Version:
        """Make a version ready again; all its stored bytes are read first. ``Damaged``: they have changed."""
    def delete(self, reference: str) -> Version:
        """Forget a version; returns what it was. ``Conflict``: an alias, experiment, lease, child or rule holds it."""
    def lease(self, versions: Version | Sequence[Version], holder: str, seconds: float = 60.0) -> None:
        """Hold versions for a running server; renew in a third of the time. ``NotFound``: none exists; unknown ones are ignored."""
    def release(self, holder: str, version: Version | None = None) -> None: """End all leases of ``holder``, or one."""
    def set_retention(self, adapter: str, *, keep_last: int | None = None, keep_days: int | None = None) -> None:
        """Keep the newest ``keep_last`` versions of an adapter, and those younger than ``keep_days``, from removal."""
    def retention(self, adapter: str) -> Retention: """The adapter's retention rule."""
    def gc(self, *, dry_run: bool = False, grace_seconds: float = 3600.0) -> GcReport:
        """Remove archived versions that nothing holds, and stored files without a version that are older than the grace."""

    # Following and moving

    def last_event_id(self) -> int: """The cursor of the newest event, or 0; cheap."""
    def events(self, after: int = 0, limit: int = 1000, adapter: str | None = None) -> tuple[Event, ...]:
        """What happened (to one adapter) after that cursor, oldest first."""
    def snapshot(self, since: Snapshot | None = None) -> Snapshot:
        """Everything in memory, of one moment; made from ``since`` the work grows with what has changed only."""
    def export_to(self, folder: Path, *what: str) -> Exported:
        """Write versions (references), adapters (names) or everything to a new folder; damaged and quarantined ones stay out.

        Raises:
            Conflict: the folder is not empty.
            Damaged: stored bytes have changed; the next export leaves that version out.
        """
    def import_from(self, folder: Path) -> Imported:
        """Add all versions of an export, or none; a number that was used here becomes the next, equal digests are one version.

        Raises:
            InvalidArtifact: every problem of the export at once.
            Conflict: an adapter belongs to another base, or its name is a base's.
        """
