"""What garbage collection decides: for each thing whether it is removed, and why."""

from typing import Literal

from pydantic import Field

from lorarack.registry.values import Value


class GcItem(Value):
    """One version, one stored file that no version has, or one file that a killed publisher left half-written."""

    kind: Literal["version", "blob", "leftover"]
    name: str = Field(description="support@3, a digest, or a file's name")
    removed: bool
    reason: str
    bytes: int = Field(default=0, description="what its removal frees; a version's files are items of their own")


class GcReport(Value):
    """What one run of ``gc`` did, or with ``dry_run`` would have done, with every version and every file that no version has."""

    dry_run: bool
    grace_seconds: float
    items: tuple[GcItem, ...] = ()

    @property
    def freed(self) -> int:
        """Bytes freed."""
        return sum(item.bytes for item in self.items if item.removed)

    def removed(self, kind: str) -> int:
        """How many things of that kind were removed."""
        return sum(item.removed for item in self.items if item.kind == kind)


def file_item(kind: Literal["blob", "leftover"], name: str, age: float, size: int, grace: float) -> GcItem:
    """What becomes of a file that no version has: it goes once it is ``grace`` seconds old."""
    removed = age >= grace
    what = "no version has it" if kind == "blob" else "its writer is gone"
    reason = what if removed else f"{what}, but it is younger than {grace:g} s: a publisher may be at work with it"
    return GcItem(kind=kind, name=name, removed=removed, reason=reason, bytes=size)
