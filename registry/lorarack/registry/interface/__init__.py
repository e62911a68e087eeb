"""The interfaces of a registry, and the only place where their contracts are written.

``Registry`` is what callers use. It is built on a ``Catalog``, which keeps what is known of versions, and on a ``BlobStore``, which
keeps their bytes. ``Keys`` and the ``KeyTable`` behind it are a part of both, and so are ``Experiments`` and
``ExperimentCatalog``. Each has a contract suite in
``tests/registry/contract`` that every implementation passes.

Errors: all are in ``errors``. Any call may raise ``StoreError`` (disk, database or network fail), and what is written here. A call
that raises has changed nothing.

Threads: any number may share one instance, and any number of processes one registry. Readers do not wait for writers; writers
take turns.

Consistency: a read sees one moment. A write is one transaction; when it returns, it survives a power cut and every read that
begins then sees it. Every write but ``lease``, ``release`` and what is observed of experiments adds an event, in the order of the
commits. Version numbers, engine ids and cursors grow and are never used twice. Times are for people: no order depends on a clock.
"""

from lorarack.registry.interface.blob_store import BlobStore
from lorarack.registry.interface.catalog import Catalog
from lorarack.registry.interface.experiments import ExperimentCatalog, Experiments
from lorarack.registry.interface.keys import Keys, KeyTable
from lorarack.registry.interface.registry import Registry

__all__ = ["BlobStore", "Catalog", "ExperimentCatalog", "Experiments", "KeyTable", "Keys", "Registry"]
