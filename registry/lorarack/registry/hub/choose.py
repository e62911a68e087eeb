"""Which files of a repository are wanted, judged by their names and sizes before anything is downloaded."""

from collections.abc import Mapping

from lorarack.registry.artifact.folder import READ_LIMITS, size_problem, weights_problem
from lorarack.registry.artifact.manifest import CONFIG
from lorarack.registry.errors import InvalidArtifact

CARD = "README.md"
_MAX_CARD_BYTES = 2**20


def choose_files(sizes: Mapping[str, int], source: str) -> set[str]:
    """The names to download of a repository whose files have ``sizes``.

    Raises:
        InvalidArtifact: no configuration, no safetensors weights, or a file over the limits; every problem at once.
    """
    wanted = {name for name in sizes if name in READ_LIMITS}
    problems = [] if CONFIG in sizes else [f"it has no {CONFIG}, so it is not a PEFT adapter"]
    problems += [
        problem for problem in (weights_problem(sizes), *(size_problem(n, sizes[n]) for n in wanted)) if problem
    ]
    if problems:
        raise InvalidArtifact(problems, subject=f"The repository {source!r}")
    if sizes.get(CARD, _MAX_CARD_BYTES + 1) <= _MAX_CARD_BYTES:
        wanted.add(CARD)
    return wanted
