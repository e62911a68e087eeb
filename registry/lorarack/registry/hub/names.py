"""Names of repositories: ``ORG/REPO`` and ``ORG/REPO@REVISION``, or an address from a browser."""

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from lorarack.registry.errors import UsageError
from lorarack.registry.hub.client import hub_endpoint

_PART = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_REPO_ID = re.compile(rf"{_PART}/{_PART}", re.ASCII)
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,254}", re.ASCII)
_SUBFOLDER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9 ._+=-]*(/[A-Za-z0-9_][A-Za-z0-9 ._+=-]*){0,15}", re.ASCII)
_WITH_FOLDER = re.compile(rf"({_PART}/{_PART})/([A-Za-z0-9_][A-Za-z0-9._/-]{{0,200}})", re.ASCII)
_HOSTS = frozenset({"huggingface.co", "www.huggingface.co", "hf.co"})
_ADDRESS = re.compile(r"(https?|hf)://|(www\.)?huggingface\.co/|hf\.co/")
#: What stands before a revision in an address.
_VIEWS = frozenset({"tree", "blob", "resolve", "raw", "commit", "blame", "edit"})
#: Views of a file, whose folder is meant.
_FILE_VIEWS = _VIEWS - {"tree", "commit"}


@dataclass(frozen=True, slots=True)
class RepositoryName:
    """A repository and, optionally, a branch, tag or commit of it, and a folder in it."""

    repo_id: str
    revision: str | None = None
    subfolder: str | None = None

    def __str__(self) -> str:
        return f"{self.repo_id}@{self.revision}" if self.revision else self.repo_id


def parse_repository(text: str) -> RepositoryName:
    """Parse ``ORG/REPO``, ``ORG/REPO@REVISION`` or an address of the Hub, which may name a folder.

    Raises:
        UsageError: it is none of them.
    """
    found = _from_address(text.strip()) if _ADDRESS.match(text.strip()) else _from_id(text)
    good_revision = found.revision is None or (_REVISION.fullmatch(found.revision) and ".." not in found.revision)
    if not _REPO_ID.fullmatch(found.repo_id) or not good_revision:
        longer = _WITH_FOLDER.fullmatch(text)
        within = f"; for the folder in it, 'lorarack pull {longer[1]} --subfolder {longer[2]}'" if longer else ""
        raise UsageError(
            f"{text!r} names no repository on the Hub; write ORG/REPO or ORG/REPO@REVISION{within}.",
            code="bad_repository",
        )
    if found.subfolder is not None:
        check_subfolder(found.subfolder)
    return found


def whole_repository(text: str) -> RepositoryName:
    """The repository that ``text`` names, without a folder in it.

    Raises:
        UsageError: not the name of a repository, or one with a folder.
    """
    found = parse_repository(text)
    if found.subfolder is not None:
        raise UsageError(f"{text!r} names a folder in a repository; write {str(found)!r}.", code="bad_repository")
    return found


def check_subfolder(subfolder: str) -> str:
    """A folder in a repository, as it is. Raises ``UsageError`` where it cannot be one."""
    if not _SUBFOLDER.fullmatch(subfolder) or len(subfolder) > 500:
        raise UsageError(
            f"{subfolder[:100]!r} is no folder in a repository; write it as the Hub shows it, for example checkpoint-200.",
            code="bad_repository",
        )
    return subfolder


def _from_id(text: str) -> RepositoryName:
    repo_id, at, revision = text.partition("@")
    return RepositoryName(repo_id, revision if at else None)


def _from_address(text: str) -> RepositoryName:
    if text.startswith("hf://"):
        return _from_path(text.removeprefix("hf://"), text)
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
        ours = parts.netloc in {*_HOSTS, urlsplit(hub_endpoint()).netloc}
    except ValueError:
        ours = False
    if not ours:
        raise UsageError(
            f"{text!r} is not an address of the Hub at {hub_endpoint()}; write ORG/REPO or ORG/REPO@REVISION.",
            code="bad_repository",
        )
    segments = [unquote(segment) for segment in parts.path.strip("/").split("/")]
    if segments[:1] == ["models"] and len(segments) > 2:
        segments = segments[1:]
    if segments[0] in ("datasets", "spaces"):
        what = "a data set" if segments[0] == "datasets" else "a space"
        raise UsageError(
            f"{text!r} is the address of {what}, not of a model; write ORG/REPO or ORG/REPO@REVISION.",
            code="bad_repository",
        )
    repo_id, view = "/".join(segments[:2]), segments[2:3]
    if not view or view[0] not in _VIEWS or len(segments) < 4:
        return RepositoryName(repo_id)
    below = segments[4:-1] if view[0] in _FILE_VIEWS else segments[4:]
    return RepositoryName(repo_id, segments[3], "/".join(below) or None)


def _from_path(path: str, text: str) -> RepositoryName:
    """The path in ``hf://ORG/REPO@REVISION/FOLDER``, as huggingface_hub's file system has it."""
    organisation, _, rest = path.partition("/")
    repository, _, below = rest.partition("/")
    if not repository:
        raise UsageError(f"{text!r} names no repository on the Hub; write ORG/REPO.", code="bad_repository")
    found = _from_id(f"{organisation}/{repository}")
    return RepositoryName(found.repo_id, unquote(found.revision) if found.revision else None, below.strip("/") or None)
