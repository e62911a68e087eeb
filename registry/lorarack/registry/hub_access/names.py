"""Names of repositories: ``ORG/REPO`` and ``ORG/REPO@REVISION``."""

import re
from dataclasses import dataclass

from lorarack.registry.errors import UsageError

_PART = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_REPO_ID = re.compile(rf"{_PART}/{_PART}", re.ASCII)
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,254}", re.ASCII)


@dataclass(frozen=True, slots=True)
class RepositoryName:
    """A repository and, optionally, a branch, tag or commit of it."""

    repo_id: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"{self.repo_id}@{self.revision}" if self.revision else self.repo_id


def parse_repository(text: str) -> RepositoryName:
    """Parse ``ORG/REPO`` or ``ORG/REPO@REVISION``.

    Raises:
        UsageError: it is neither.
    """
    repo_id, at, revision = text.partition("@")
    good_revision = bool(_REVISION.fullmatch(revision)) and ".." not in revision if at else True
    if not _REPO_ID.fullmatch(repo_id) or not good_revision:
        raise UsageError(
            f"{text!r} names no repository on the Hub; write ORG/REPO or ORG/REPO@REVISION.", code="bad_repository"
        )
    return RepositoryName(repo_id, revision or None)
