"""Export to a folder that PEFT can read, and import of such a folder into another registry."""

from pathlib import Path
from typing import TYPE_CHECKING

from lorarack.registry.operations.versions import VersionOperations

if TYPE_CHECKING:
    from lorarack.registry.queries import Exported, Imported


class PortabilityOperations(VersionOperations):
    """What leads out of a registry and into another."""

    def export_to(self, folder: Path, *what: str) -> "Exported":
        """Write versions (references with ``@``) and adapters (names), or without any of them everything, to ``folder``.

        Quarantined and damaged versions are left out. Every byte is checked on its way; the folder is there whole or not at all.

        Raises:
            Conflict: the folder is not empty. NotFound: nothing of that name, or nothing to export.
            Damaged: stored bytes changed; that version is out of use then, and the next export leaves it out.
            StoreError: the disk. Else like ``resolve``.
        """
        from lorarack.registry.operations.transfer import export_to

        return export_to(self, folder, what)

    def import_from(self, folder: Path) -> "Imported":
        """Add all versions of the export in ``folder``, or none.

        A version keeps its number where that has never been used here, else it gets the next; equal digests of one adapter are
        one version, which is left as it is. Aliases are set where they are new.

        Raises:
            NotFound: no export there, or a base that is not known here. InvalidArtifact: every problem of the export at once.
            Conflict: an adapter stands on another base, or its name belongs to a base. StoreError: disk or database.
        """
        from lorarack.registry.operations.transfer import import_from

        return import_from(self, folder)
