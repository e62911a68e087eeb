"""Which files of a repository are wanted, judged by their names and sizes before anything is downloaded."""

from collections.abc import Callable, Mapping

from lorarack.registry.artifact.folder import READ_LIMITS, size_problem
from lorarack.registry.artifact.manifest import CONFIG
from lorarack.registry.artifact.other_formats import missing_problems
from lorarack.registry.errors import InvalidArtifact, NotFound

CARD = "README.md"
_MAX_CARD_BYTES = 2**20


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
