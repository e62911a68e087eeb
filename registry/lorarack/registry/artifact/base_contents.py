"""What a check of an adapter may need of its base's files, wherever they are."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from lorarack.registry.artifact.header import Tensor

#: A tensor and its bytes in pieces, each a whole number of elements.
Stored = tuple[Tensor, Iterator[bytes]]


class BaseContents(Protocol):
    """The base's files. Each method raises ``LorarackError`` where they cannot be reached, or are no longer the base's."""

    def tokens(self) -> Mapping[str, int]:
        """The base's token table."""
        ...

    def weight(self, module: str) -> AbstractContextManager[Stored]:
        """The weight of ``module``; that of the embedding where the head is tied to it."""
        ...
