"""Files of a repository at one commit. The sizes that the Hub reports are limits: no more is read.

The client's own downloads write everything to disk, and its file system keeps everything in memory. So bodies are streamed
here, through the client's session: with its retries, its errors, and no token for other hosts.
"""

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from lorarack.registry.errors import Unavailable
from lorarack.registry.hub.client import hub_errors

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from huggingface_hub import HfApi

#: Fetched at once. Samples of weights are 1 KiB, far apart: a large block would fetch most of the file after all.
_BLOCK_BYTES = 2**16
_CHUNK_BYTES = 2**20
#: How often a body that breaks off is asked for again, from where it broke off.
_RESUMES = 5


class RemoteFiles:
    """The files of ``repo_id`` at ``commit``.

    Raises (on reading):
        as ``hub_errors``; and Unavailable: the Hub sends more or less than was promised.
    """

    def __init__(self, api: "HfApi", repo_id: str, commit: str) -> None:
        self._api, self._repo_id, self._commit = api, repo_id, commit

    def read(self, name: str, start: int, length: int) -> bytes:
        """``length`` bytes from ``start``, held in memory."""
        return b"".join(self.stream(name, start, length))

    def download(self, name: str, size: int, target: BinaryIO) -> None:
        """All ``size`` bytes of a file, with a progress bar where the client shows one."""
        with _utils().tqdm(total=size, desc=name[-40:], unit="B", unit_scale=True, name="lorarack.download") as bar:
            for chunk in self.stream(name, 0, size):
                target.write(chunk)
                bar.update(len(chunk))

    def stream(self, name: str, start: int, length: int) -> Iterator[bytes]:
        """Exactly ``length`` bytes from ``start``, in pieces; a connection that breaks off is taken up again."""
        import httpx2

        have = 0
        for resumed in range(_RESUMES + 1):
            try:
                with hub_errors(self._repo_id):
                    for chunk in self._body(name, start + have, length - have):
                        have += len(chunk)
                        yield chunk
                return
            except Unavailable as error:
                if not isinstance(error.__cause__, httpx2.TransportError) or resumed == _RESUMES:
                    raise

    def _body(self, name: str, start: int, length: int) -> Iterator[bytes]:
        from huggingface_hub import constants, hf_hub_url

        utils = _utils()
        url = hf_hub_url(self._repo_id, name, revision=self._commit, endpoint=self._api.endpoint)
        headers = utils.build_hf_headers(token=self._api.token, library_name=self._api.library_name)
        headers |= {"accept-encoding": "identity"}
        if length:
            headers["range"] = f"bytes={start}-{start + length - 1}"
        timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
        with utils.http_stream_backoff("GET", url, headers=headers, timeout=timeout) as response:
            utils.hf_raise_for_status(response)
            if response.headers.get("content-encoding", "identity") != "identity" or (
                start and response.status_code != 206
            ):
                raise Unavailable(f"The Hub does not send {name!r} of {self._repo_id!r} as bytes that can be counted.")
            left = length
            for chunk in response.iter_raw(_CHUNK_BYTES):
                if len(chunk) > left:
                    raise Unavailable(
                        f"The Hub sends more of {name!r} of {self._repo_id!r} than the bytes that it promised; "
                        "nothing of it is kept."
                    )
                left -= len(chunk)
                yield chunk
            if left:
                raise Unavailable(
                    f"The Hub sent {left} bytes less of {name!r} of {self._repo_id!r} than it promised; try again later."
                )


def _utils() -> Any:
    """The client's tools, which are public and say so to no type checker."""
    from huggingface_hub import utils

    return utils


class RemoteFile(io.RawIOBase):
    """One of them as a seekable file of ``size`` bytes. Only the blocks around what is read are fetched; the last one is kept.

    Raises (on reading):
        as ``RemoteFiles``.
    """

    def __init__(self, files: RemoteFiles, name: str, size: int) -> None:
        super().__init__()
        self._files, self._name, self._size = files, name, size
        self._position = 0
        self._block, self._block_start = b"", 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move; fetches nothing."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._position

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Fill ``buffer`` as far as the file goes."""
        view = memoryview(buffer).cast("B")
        wanted = min(len(view), self._size - self._position)
        if wanted <= 0:
            return 0
        within = self._position - self._block_start
        if within < 0 or within + wanted > len(self._block):
            length = min(max(wanted, _BLOCK_BYTES), self._size - self._position)
            self._block, self._block_start, within = (
                self._files.read(self._name, self._position, length),
                self._position,
                0,
            )
        view[:wanted] = self._block[within : within + wanted]
        self._position += wanted
        return wanted
