"""The weight file: its tensors, read from the header with the standard library alone, the modules that they belong to, and the
largest number of each.

Format of safetensors: 8 bytes of little-endian header length, that many bytes of JSON, then the tensors' bytes
(https://huggingface.co/docs/safetensors/index#format). What is accepted here, safetensors' own reader accepts: the engine
opens stored files with that one. Not accepted here though it reads them: entries written as lists, and shapes of over eight
sides or of sides from 2^48, which no writer makes.
"""

import math
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from io import FileIO
from typing import Any, BinaryIO

from lorarack.registry.artifact.limits import MAX_HEADER_BYTES, MAX_TENSORS
from lorarack.registry.texts import parse_json, refuse_repeated

#: Bytes of one element.
DTYPE_BYTES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1,
    "F8_E4M3FNUZ": 1, "F8_E5M2FNUZ": 1, "F8_E8M0": 1, "C64": 8,
    "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1,
}  # fmt: skip


#: Those that adapters may have.
FLOATS = frozenset({"F32", "F16", "BF16"})

#: JSON objects, arrays and entries that the header of ``MAX_TENSORS`` tensors has, and as many again for its metadata.
_CONTAINERS = 4 * MAX_TENSORS
_ENTRIES = 12 * MAX_TENSORS

_PREFIX = "base_model.model."
_KINDS = {
    ".lora_A.weight": ("a", False),
    ".lora_B.weight": ("b", False),
    ".lora_embedding_A": ("a", True),
    ".lora_embedding_B": ("b", True),
}
#: The base's own weights of adapted embeddings, which PEFT's save_pretrained writes along and vLLM ignores.
_BASE_WEIGHTS = (".embed_tokens.base_layer.weight", ".lm_head.base_layer.weight")

# A float is NaN or infinite exactly when all bits of its exponent are set, and zero when all bits but the sign are clear.
_EXPONENT = {"F32": 0x7F80_0000, "F16": 0x7C00, "BF16": 0x7F80}
_MAGNITUDE = {"F32": 0x7FFF_FFFF, "F16": 0x7FFF, "BF16": 0x7FFF}


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


@dataclass(slots=True)
class Pair:
    """The A and B of one module."""

    module: str
    embedding: bool
    a: Tensor | None = None
    b: Tensor | None = None

    def sides(self, shape: tuple[int, int]) -> tuple[int, int]:
        """What A takes and B gives in a module of ``shape`` (out, in); an embedding's A looks rows up, its B makes the width."""
        out, width = shape
        return (out, width) if self.embedding else (width, out)


@dataclass(slots=True)
class Pairs:
    """All modules of an adapter, the base's own weights by module, and the tensors that are neither."""

    by_module: dict[str, Pair] = field(default_factory=dict)
    base_weights: dict[str, Tensor] = field(default_factory=dict)
    unknown: list[Tensor] = field(default_factory=list)


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


def read_tensors(weights: FileIO) -> tuple[Tensor, ...]:
    """The tensors of an open weight file. Raises ``HeaderError``: not a safetensors file."""
    weights.seek(0)
    with os.fdopen(os.dup(weights.fileno()), "rb") as buffered:
        return read_header(buffered, os.fstat(weights.fileno()).st_size)


def pair_up(tensors: Iterable[Tensor]) -> Pairs:
    """Sort tensors by the module they belong to; PEFT names them ``base_model.model.MODULE.lora_A.weight``."""
    pairs = Pairs()
    for tensor in tensors:
        if tensor.name.startswith(_PREFIX) and tensor.name.endswith(_BASE_WEIGHTS):
            pairs.base_weights[tensor.name[len(_PREFIX) : -len(".base_layer.weight")]] = tensor
            continue
        suffix = next((end for end in _KINDS if tensor.name.endswith(end)), None)
        if suffix is None or not tensor.name.startswith(_PREFIX):
            pairs.unknown.append(tensor)
            continue
        side, embedding = _KINDS[suffix]
        module = tensor.name[len(_PREFIX) : -len(suffix)]
        pair = pairs.by_module.setdefault(module, Pair(module, embedding))
        if pair.embedding is not embedding:
            pairs.unknown.append(tensor)
            continue
        setattr(pair, side, tensor)
    return pairs


def fits(pair: Pair, shape: tuple[int, int]) -> bool:
    """Whether A and B are matrices of one rank for a module of ``shape`` (out, in)."""
    if not pair.a or not pair.b or len(pair.a.shape) != 2 or len(pair.b.shape) != 2:
        return False
    inner, outer = pair.sides(shape)
    return (pair.a.shape[1], pair.b.shape[0]) == (inner, outer) and pair.a.shape[0] == pair.b.shape[1]


class LargestNumbers:
    """Takes a weight file's bytes in pieces, from its start; tensors of other dtypes than adapters have are ignored."""

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        found = (tensor for tensor in tensors if tensor.dtype in FLOATS)
        self._tensors = sorted(found, key=lambda tensor: tensor.start)
        self._bits = dict.fromkeys((tensor.name for tensor in self._tensors), 0)
        self._place = 0  # in the list of tensors
        self._at = 0  # in the file
        self._begun = b""  # a number of which the last piece had the first bytes only

    def feed(self, piece: bytes) -> None:
        """Look at the next piece of the file."""
        start, self._at = self._at, self._at + len(piece)
        view = memoryview(piece)
        while self._place < len(self._tensors) and (tensor := self._tensors[self._place]).start < self._at:
            # An empty tensor may lie before this piece: an end below 0 would count from the piece's own.
            self._look(tensor, view[max(tensor.start - start, 0) : max(tensor.end - start, 0)])
            if tensor.end > self._at:
                break
            self._place += 1

    def magnitudes(self) -> dict[str, float]:
        """The largest magnitude of each tensor by name; infinity where a number is NaN or infinite, 0 where there is none."""
        return {tensor.name: _magnitude(self._bits[tensor.name], tensor.dtype) for tensor in self._tensors}

    def _look(self, tensor: Tensor, part: memoryview) -> None:
        import numpy as np

        element = np.dtype("<u4" if tensor.dtype == "F32" else "<u2")
        data = self._begun + part.tobytes() if self._begun else part
        whole = len(data) - len(data) % element.itemsize
        self._begun = bytes(data[whole:])
        if whole:
            # Without the sign, the bits of floats have the order of their magnitudes; NaN comes last.
            bits = np.frombuffer(data[:whole], element) & element.type(_MAGNITUDE[tensor.dtype])
            self._bits[tensor.name] = max(self._bits[tensor.name], int(bits.max()))


def _magnitude(bits: int, dtype: str) -> float:
    import numpy as np

    if bits >= _EXPONENT[dtype]:
        return math.inf
    if dtype == "F16":
        return float(np.uint16(bits).view(np.float16))
    return float(np.uint32(bits << 16 if dtype == "BF16" else bits).view(np.float32))


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
