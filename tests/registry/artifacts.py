"""An adapter's folder checked whole, as publishing and importing do it in steps."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from lorarack.registry import Base, LorarackError
from lorarack.registry.artifact.base_weights import BaseContents, Stored
from lorarack.registry.artifact.folder import open_folder
from lorarack.registry.artifact.validate import Artifact, check_numbers, inspect_artifact
from lorarack.registry.artifact.weights import LargestNumbers
from lorarack.registry.disk import pump


class NoFiles:
    """``BaseContents`` of a base whose files cannot be reached."""

    def tokens(self) -> Mapping[str, int]:
        raise LorarackError("its files are not available")

    def weight(self, module: str) -> AbstractContextManager[Stored]:
        raise LorarackError("its files are not available")


def read_artifact(path: Path, base: Base, contents: BaseContents | None = None) -> Artifact:
    """The adapter in ``path``, checked against ``base``; without ``contents`` the base's files cannot be reached."""
    with open_folder(path) as folder:
        artifact = inspect_artifact(folder, base, contents or NoFiles())
        largest = LargestNumbers(artifact.tensors)
        folder.weights.seek(0)
        pump(folder.weights, largest.feed)
        check_numbers(folder.weights, artifact, largest, str(path))
    return artifact
