"""Which rows a version has seen, in a bounded number of bytes that provenance can hold.

Each row's prompt has a digest of 48 bits, and the smallest 4,096 of a set are kept. Of a smaller set that is every row; of a
larger one it is a fair sample (a bottom-k sketch: A. Z. Broder, "On the resemblance and containment of documents", 1997),
which says of every row whose digest lies below the largest kept one whether it was in the set.
"""

import hashlib
from base64 import b64decode, b64encode
from binascii import Error as Base64Error

from lorarack.adapters.data.rows import Row, Rows

LIMIT = 4096
_BYTES = 6


def row_digests(rows: Rows) -> str:
    """The digests of ``rows`` as text: base64 of 6 bytes each, in ascending order."""
    smallest = sorted({_digest(row) for row in rows})[:LIMIT]
    return b64encode(b"".join(smallest)).decode()


def rows_among(rows: Rows, digests: str) -> tuple[Row, ...]:
    """Those of ``rows`` whose prompts are among the digests of another set; of a large set, those in its sample."""
    try:
        raw = b64decode(digests, validate=True)
    except (Base64Error, ValueError):  # written by something else: it says nothing
        return ()
    known = {raw[start : start + _BYTES] for start in range(0, len(raw), _BYTES)}
    return tuple(row for row in rows if _digest(row) in known)


def _digest(row: Row) -> bytes:
    """Of the prompt alone: the same question with another answer has been seen as well."""
    return hashlib.sha256(row.question.encode("utf-8", "surrogatepass")).digest()[:_BYTES]
