"""What ``gc`` decides, for each thing whether it stays or goes and why, and the rule that keeps versions from it."""

from typing import Literal

from pydantic import Field

from lorarack.registry.values import Value


class Fate(Value):
    """One version, one stored file that no version has, or one file that a killed publisher left half-written."""

    kind: Literal["version", "blob", "leftover"]
    name: str = Field(description="support@3, a digest, or a file's name")
    goes: bool
    why: str
    bytes: int = Field(
        default=0, description="what its going frees; a version's files are listed on their own, as blobs"
    )


class Collection(Value):
    """What one run of ``gc`` did, or with ``dry_run`` would have done, with every version and every file that no version has."""

    dry_run: bool
    grace_seconds: float
    fates: tuple[Fate, ...] = ()

    @property
    def freed(self) -> int:
        """Bytes freed."""
        return sum(fate.bytes for fate in self.fates if fate.goes)

    def gone(self, kind: str) -> int:
        """How many things of that kind went."""
        return sum(fate.goes for fate in self.fates if fate.kind == kind)


class Retention(Value):
    """An adapter's rule: which of its versions can neither be deleted nor collected. None: no rule of that kind."""

    keep_last: int | None = None
    keep_days: int | None = None
