"""Headers of safetensors files, read with the standard library alone.

Format: 8 bytes of little-endian header length, that many bytes of JSON, then the tensors' bytes
(https://huggingface.co/docs/safetensors/index#format). What is accepted here, safetensors' own reader accepts: the engine
opens stored files with that one. Not accepted here though it reads them: entries written as lists, and shapes of over eight
sides or of sides from 2^48, which no writer makes.
"""

import struct
from dataclasses import dataclass
from typing import Any, BinaryIO

from lorarack.registry.artifact.limits import MAX_HEADER_BYTES, MAX_TENSORS
from lorarack.registry.artifact.strict_json import parse_json, refuse_repeated

#: Bytes of one element.
DTYPE_BYTES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1,
    "F8_E4M3FNUZ": 1, "F8_E5M2FNUZ": 1, "F8_E8M0": 1, "C64": 8,
    "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1,
}  # fmt: skip


class HeaderError(ValueError):
    """The bytes are not a whole safetensors file; the text says why."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """Where one tensor lies: ``start`` and ``end`` count bytes from the beginning of the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int

    @property
    def size(self) -> int:
        """How many elements it has."""
        count = 1
        for side in self.shape:
            count *= side
        return count


def read_header(file: BinaryIO, file_bytes: int) -> tuple[Tensor, ...]:
    """The tensors of a safetensors ``file`` of ``file_bytes`` bytes, by name. Reads the header only.

    Raises:
        HeaderError: not a safetensors file, or cut short, or with overlapping or missing bytes.
    """
    prefix = file.read(8)
    if len(prefix) < 8:
        raise HeaderError("the file is too short to be safetensors")
    (length,) = struct.unpack("<Q", prefix)
    if length > MAX_HEADER_BYTES or 8 + length > file_bytes:
        raise HeaderError(f"its header claims {length} bytes, which the file does not have or lorarack does not read")
    raw = file.read(length)
    if len(raw) < length:
        raise HeaderError("the file is cut short")
    header = _parse(raw)
    if len(header) > MAX_TENSORS:
        raise HeaderError(f"it lists {len(header)} tensors; lorarack reads at most {MAX_TENSORS}")
    tensors = [_tensor(name, entry, 8 + length) for name, entry in header.items()]
    _check_layout(tensors, 8 + length, file_bytes)
    return tuple(sorted(tensors, key=lambda tensor: tensor.name))


#: JSON objects, arrays and entries that the header of ``MAX_TENSORS`` tensors has, and as many again for its metadata.
_CONTAINERS = 4 * MAX_TENSORS
_ENTRIES = 12 * MAX_TENSORS


def _parse(raw: bytes) -> dict[str, Any]:
    try:
        header = parse_json(raw, containers=_CONTAINERS, entries=_ENTRIES, on_pairs=_table)
    except ValueError as error:
        raise HeaderError(f"its header is not JSON that safetensors reads: {error}") from error
    if not isinstance(header, dict):
        raise HeaderError("its header is not a JSON object")
    metadata = header.pop("__metadata__", None)
    if metadata is not None and not (
        isinstance(metadata, dict) and all(isinstance(text, str) for text in metadata.values())
    ):
        raise HeaderError("its metadata is not a table of texts")
    return header


def _table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """One JSON object. Of a name that is repeated the last counts, but safetensors refuses repeated fields."""
    refuse_repeated(pairs, "__metadata__", "dtype", "shape", "data_offsets")
    return dict(pairs)


def _tensor(name: str, entry: Any, data_start: int) -> Tensor:
    match entry:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [start, end]} if (
            type(start) is type(end) is int
        ):
            pass
        case _:
            raise HeaderError(f"its entry for tensor {name[:80]!r} is malformed")
    if dtype not in DTYPE_BYTES:
        raise HeaderError(f"tensor {name[:80]!r} has an unknown dtype {dtype[:20]!r}")
    if len(shape) > 8 or not all(type(side) is int and 0 <= side < 2**48 for side in shape):
        raise HeaderError(f"tensor {name[:80]!r} has an impossible shape")
    tensor = Tensor(name, dtype, tuple(shape), data_start + start, data_start + end)
    if start < 0 or end - start != tensor.size * DTYPE_BYTES[dtype]:
        raise HeaderError(f"tensor {name[:80]!r} has a length that does not fit its shape")
    return tensor


def _check_layout(tensors: list[Tensor], data_start: int, file_bytes: int) -> None:
    position = data_start
    for tensor in sorted(tensors, key=lambda tensor: (tensor.start, tensor.end)):
        if tensor.start != position:
            raise HeaderError(f"its tensors overlap or leave gaps at {tensor.name[:80]!r}")
        position = tensor.end
    if position != file_bytes:
        raise HeaderError(
            "the file is cut short" if position > file_bytes else "there are bytes behind the last tensor"
        )
