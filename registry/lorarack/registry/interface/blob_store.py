"""What a registry needs of the store that keeps its bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, Protocol

# The calls are to be read as a table; the formatter would give each name a line.
# fmt: off
# isort: off

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from io import FileIO

    from lorarack.registry.queries import GcItem
    from lorarack.registry.records import StoredBlob


class BlobStore(Protocol):
    """Bytes under the SHA-256 of their content (``sha256:`` and 64 hexadecimal digits). ``UsageError``: not such a digest."""

    def put(self, source: bytes | BinaryIO, check: Callable[[FileIO], None] | None = None) -> str:
        """Store all bytes of ``source``, from its start, whole or not at all; their digest. A file is read once.

        Bytes that are there already become as young as new ones, and whole again if they were damaged. ``check`` gets a private
        copy, an open file of this machine, before it is a blob; what it raises is raised here, and nothing is stored.
        """
    def open(self, digest: str) -> AbstractContextManager[BinaryIO]:
        """The bytes, seekable and unchecked. ``StoreError`` with code ``missing``: they are not there."""
    def has(self, digest: str) -> bool: """Whether the blob is there; its bytes are not read."""
    def delete(self, digest: str, *, min_age: float = 0.0) -> bool:
        """Remove a blob, unless it was put, or put again, less than ``min_age`` seconds ago or is not there; whether it went."""
    def list(self) -> Iterator[StoredBlob]:
        """Each blob, with its size and its age, ordered by digest; those put or removed meanwhile may be among them."""
    def sweep(self, min_age: float, *, dry_run: bool = False) -> Sequence[GcItem]:
        """Remove what interrupted ``put`` calls left behind, unless it is younger; empty where a store leaves nothing."""
