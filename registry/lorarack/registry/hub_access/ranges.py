"""Files of a repository at one commit, read by byte ranges."""

import io
from typing import TYPE_CHECKING, Any

from lorarack.registry.hub_access.translate import hub_errors

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from huggingface_hub import HfApi, HfFileSystem

#: Fetched at once. Samples of weights are 1 KiB, far apart: a large block would fetch most of the file after all.
_BLOCK_BYTES = 2**16


def remote_files(api: "HfApi") -> "HfFileSystem":
    """What ``RemoteFile`` opens files with; remembers a repository's listing, so use one for all its files."""
    from huggingface_hub import HfFileSystem

    return HfFileSystem(endpoint=api.endpoint, token=api.token, skip_instance_cache=True)


class RemoteFile(io.RawIOBase):
    """A seekable file on the Hub. Only the blocks around what is read are fetched.

    Raises (on opening and reading):
        as ``hub_errors``.
    """

    def __init__(self, files: "HfFileSystem", repo_id: str, commit: str, name: str) -> None:
        super().__init__()
        self._repo_id = repo_id
        with hub_errors(repo_id):
            self._file: Any = files.open(f"{repo_id}@{commit}/{name}", "rb", block_size=_BLOCK_BYTES)

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move; fetches nothing."""
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        """Where the next byte is read."""
        return int(self._file.tell())

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Fill ``buffer`` as far as the file goes."""
        view = memoryview(buffer).cast("B")
        with hub_errors(self._repo_id):
            data: bytes = self._file.read(len(view))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Forget the blocks."""
        if not self.closed:
            self._file.close()
        super().close()
