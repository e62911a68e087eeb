"""Compressed bodies, which no route of vLLM's reads."""

import asyncio
import zlib

from lorarack.registry.errors import UsageError
from lorarack.server.http.asgi import Scope, header, with_headers

#: What zlib has to be told, by the name of the encoding.
_WINDOW_BITS = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}


async def decoded(scope: Scope, body: bytes, limit: int) -> tuple[Scope, bytes]:
    """The request with its body as it was before it was compressed.

    Raises:
        UsageError: compressed in a way that is not known, or damaged, or of more than ``limit`` bytes before.
    """
    encoding = header(scope, b"content-encoding").strip().lower()
    if encoding in (b"", b"identity"):
        return scope, body
    if encoding not in _WINDOW_BITS:
        raise UsageError(
            f"The body's Content-Encoding {encoding[:40].decode('latin-1')!a} is not read here; send gzip, deflate or plain JSON.",
            code="bad_encoding",
        )
    # Off the event loop: a whole limit of it takes a third of a second.
    plain = await asyncio.to_thread(_inflated, body, _WINDOW_BITS[encoding], limit)
    length = (b"content-length", str(len(plain)).encode())
    return with_headers(scope, length, without=[b"content-encoding", b"transfer-encoding"]), plain


def _inflated(body: bytes, window_bits: int, limit: int) -> bytes:
    inflating = zlib.decompressobj(window_bits)
    try:
        plain = inflating.decompress(body, limit + 1)
    except zlib.error as error:
        raise UsageError(f"The body cannot be decompressed: {error}.", code="bad_request") from error
    if len(plain) > limit:
        raise UsageError(
            f"The request's body, decompressed, is larger than {limit >> 20} MiB, which is the most that is read.",
            code="too_large",
        )
    if not inflating.eof or inflating.unused_data:
        raise UsageError(
            "The compressed body is cut short, or something follows it; send it whole.", code="bad_request"
        )
    return plain
