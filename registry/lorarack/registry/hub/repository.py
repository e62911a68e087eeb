"""What a repository holds at one commit, as the Hub says; checked, since whatever answers at its address is believed no further."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorarack.registry.errors import Unavailable
from lorarack.registry.hub.errors import hub_errors
from lorarack.registry.hub.names import RepositoryName

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_COMMIT = re.compile("[0-9a-f]{40,64}")
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Listing:
    """Bytes of each file by its path, at ``commit``; and the SHA-256 of those that are kept outside Git."""

    commit: str
    sizes: Mapping[str, int]
    sha256: Mapping[str, str]


def read_listing(api: "HfApi", name: RepositoryName) -> Listing:
    """The commit that ``name`` means now, and the files that it has.

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
