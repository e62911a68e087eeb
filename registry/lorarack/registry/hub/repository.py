"""What a repository holds at one commit, as the Hub says, and which of its files are wanted; judged before anything is downloaded.

What answers at the Hub's address is not trusted: the listing is checked.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorarack.registry.artifact.folder import READ_LIMITS, size_problem
from lorarack.registry.artifact.manifest import CONFIG
from lorarack.registry.artifact.other_formats import missing_problems
from lorarack.registry.errors import InvalidArtifact, NotFound, Unavailable
from lorarack.registry.hub.client import hub_errors
from lorarack.registry.hub.names import RepositoryName

if TYPE_CHECKING:
    from huggingface_hub import HfApi

CARD = "README.md"
_MAX_CARD_BYTES = 2**20
_COMMIT = re.compile("[0-9a-f]{40,64}")
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Listing:
    """Bytes of each file by its path, at ``commit``; and the SHA-256 of those that are kept outside Git."""

    commit: str
    sizes: Mapping[str, int]
    sha256: Mapping[str, str]


def read_listing(api: "HfApi", name: RepositoryName) -> Listing:
    """The commit that ``name`` refers to now, and its files.

    Raises:
        NotFound: no such repository or revision.
        NotAllowed: the token is refused.
        Unavailable: the Hub cannot be reached, or what it says is no listing.
    """
    with hub_errors(name.repo_id):
        info = api.model_info(name.repo_id, revision=name.revision, files_metadata=True)
        stated = {sibling.rfilename: sibling.lfs.sha256 for sibling in info.siblings or [] if sibling.lfs}
        found = {sibling.rfilename: sibling.size for sibling in info.siblings or []}
    if not isinstance(info.sha, str) or not _COMMIT.fullmatch(info.sha):
        raise Unavailable(f"The Hub does not say which commit of {str(name)!r} it has; try again later.")
    sizes = {
        path: size for path, size in found.items() if isinstance(path, str) and isinstance(size, int) and size >= 0
    }
    if len(sizes) < len(found):
        raise Unavailable(f"The Hub does not say how large the files of {str(name)!r} are; try again later.")
    digests = {path: digest for path, digest in stated.items() if isinstance(digest, str) and _SHA256.fullmatch(digest)}
    return Listing(info.sha, sizes, digests)


def files_in(sizes: Mapping[str, int], subfolder: str | None, source: str) -> dict[str, int]:
    """The files of a repository that lie in ``subfolder``, or at its top, by their plain names.

    Raises:
        NotFound: the repository has no such folder.
    """
    before = f"{subfolder}/" if subfolder else ""
    found = {name.removeprefix(before): size for name, size in sizes.items() if name.startswith(before)}
    if not found:
        raise NotFound(f"The repository {source!r} has no folder {subfolder!r}.", code="no_folder")
    return found


def choose_files(sizes: Mapping[str, int], source: str, command: Callable[[str], str]) -> set[str]:
    """The names to download of a folder whose files have ``sizes``; those in folders below are of no interest.

    Args:
        sizes: bytes by name.
        source: what the repository is called in sentences.
        command: what to run for a folder below.

    Raises:
        InvalidArtifact: no configuration, no safetensors weights, or a file over the limits; every problem at once.
    """
    top = {name for name in sizes if "/" not in name}
    below = sorted({place for name in sizes for place, _, leaf in [name.rpartition("/")] if place and leaf == CONFIG})
    wanted = {name for name in top if name in READ_LIMITS}
    if "tokenizer.json" in wanted:
        wanted.discard("vocab.json")  # says nothing more
    problems = missing_problems(top, below, command)
    problems += [problem for problem in (size_problem(name, sizes[name]) for name in sorted(wanted)) if problem]
    if problems:
        raise InvalidArtifact(problems, subject=f"The repository {source!r}")
    if sizes.get(CARD, _MAX_CARD_BYTES + 1) <= _MAX_CARD_BYTES:
        wanted.add(CARD)
    return wanted
