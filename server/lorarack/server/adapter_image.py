"""An adapter's file with the weights as the kernel reads them: packed where adapters are fetched, so that an engine only copies it.

The file: a header of four 64-bit numbers (a mark, how many pieces, words, the largest rank), the pieces (``Piece`` in
``kernel_source/image.h``), zeros up to a multiple of 64 bytes, then the words. It never outlives the server that wrote it.
"""

import ctypes
import mmap
import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from lorarack.registry.artifact.weights import Pair
from lorarack.registry.errors import EngineError
from lorarack.server.user_cache import untrusted_reason

_MARK = int.from_bytes(b"lorapack", "little")
_HEAD, _PIECE, _SOURCE = struct.Struct("<4q"), struct.Struct("<8q"), struct.Struct("<3qd")
_TYPES = {"F32": 0, "F16": 1, "BF16": 2}
_LANES, _ALIGNED = 16, 64


@dataclass(frozen=True, slots=True)
class Part:
    """One slice of a layer of the engine that an adapter's module goes to."""

    layer: int
    slice: int
    inputs: int
    outputs: int


@dataclass(frozen=True, slots=True)
class Layout:
    """Where an engine has which module.

    Attributes:
        kernel: the compiled kernel.
        bfloat16: whether weights are bfloat16; else float32.
        max_rank: the largest rank of a slot.
        parts: by the module's name, as PEFT has it.
    """

    kernel: Path
    bfloat16: bool
    max_rank: int
    parts: Mapping[str, Part]


@dataclass(frozen=True, slots=True)
class Image:
    """The beginning of an image: where the words start, in bytes, how many they are, the pieces, and the adapter's rank."""

    start: int
    words: int
    count: int
    pieces: bytes
    rank: int


def read_image(file: int) -> Image | None:
    """What the open ``file`` begins with; None: it is no image."""
    head = os.pread(file, _HEAD.size, 0)
    if len(head) < _HEAD.size:
        return None
    mark, count, words, rank = _HEAD.unpack(head)
    if mark != _MARK:
        return None
    return Image(_start(count), words, count, os.pread(file, count * _PIECE.size, _HEAD.size), rank)


class Packer:
    """Packs adapters for the engine that has ``layout``. May be used by several threads."""

    def __init__(self, layout: Layout) -> None:
        """Load the kernel's library.

        Raises:
            EngineError: it cannot be loaded.
        """
        import torch  # noqa: F401 - the library needs torch's

        self._layout = layout
        if reason := untrusted_reason(layout.kernel):
            raise EngineError(f"the kernel {layout.kernel} is not loaded: {reason}")
        try:
            self._pack = ctypes.CDLL(str(layout.kernel)).lorarack_pack
        except OSError as error:
            raise EngineError(f"the kernel {layout.kernel} cannot be loaded: {error}") from error
        self._pack.argtypes = [ctypes.c_int64, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p]
        self._pack.restype = ctypes.c_int64

    def suits(self, pairs: Sequence[Pair]) -> bool:
        """Whether the engine takes all modules of an adapter packed. If not, it loads the tensors as published."""
        return all(self._suits(pair) for pair in pairs)

    def _suits(self, pair: Pair) -> bool:
        part = self._layout.parts.get(pair.module)
        if part is None or pair.embedding or pair.a is None or pair.b is None:
            return False
        rank = pair.a.shape[0]
        shapes = pair.a.shape == (rank, part.inputs) and pair.b.shape == (part.outputs, rank)
        types = pair.a.dtype in _TYPES and pair.a.dtype == pair.b.dtype
        return shapes and types and 0 < rank <= self._layout.max_rank

    def write(
        self,
        pairs: Sequence[Pair],
        scalings: Mapping[str, tuple[int, float]],
        weights: bytearray,
        weights_start: int,
        to: IO[bytes],
    ) -> None:
        """Write an adapter that `suits` to an empty file.

        Args:
            pairs: its modules.
            scalings: rank and scale by module.
            weights: the bytes of the weight file from ``weights_start`` on.
            weights_start: where the tensors' bytes begin.
            to: the file.

        Raises:
            EngineError: a weight is not finite in the engine's number type.
            OSError: the disk.
        """
        parts = self._layout.parts
        ordered = sorted(pairs, key=lambda pair: (parts[pair.module].layer, parts[pair.module].slice))
        pieces, sources, words = bytearray(), bytearray(), 0
        for pair in ordered:
            assert pair.a is not None  # noqa: S101 - `suits`
            assert pair.b is not None  # noqa: S101 - `suits`
            piece, words = self._piece(parts[pair.module], pair.a.shape[0], words)
            pieces += piece
            starts = pair.a.start - weights_start, pair.b.start - weights_start
            sources += _SOURCE.pack(_TYPES[pair.a.dtype], *starts, scalings[pair.module][1])
        start, largest = _start(len(ordered)), max(rank for rank, _ in scalings.values())
        to.write(_HEAD.pack(_MARK, len(ordered), words, largest) + pieces)
        to.flush()
        os.posix_fallocate(
            to.fileno(), 0, start + 4 * words
        )  # a full disk is an error here, and would be a signal below
        with mmap.mmap(to.fileno(), start + 4 * words) as memory:
            address = ctypes.addressof(begin := ctypes.c_char.from_buffer(memory))
            given = ctypes.addressof(first := ctypes.c_char.from_buffer(weights))
            failed = self._pack(len(ordered), bytes(sources), bytes(pieces), given, address + start)
            del begin, first  # they keep the memory from being given back
        if failed >= 0:
            kind = "bfloat16" if self._layout.bfloat16 else "float32"
            raise EngineError(f"the weights of {ordered[failed].module} overflow {kind}; train or convert it again")

    def write_zeros(self, rank: int, to: IO[bytes]) -> None:
        """Write an adapter of ``rank`` on all layers, all zeros, to an empty file: it costs what any of that rank costs.

        Raises:
            OSError: the disk.
        """
        pieces, words = bytearray(), 0
        for part in self._layout.parts.values():
            piece, words = self._piece(part, rank, words)
            pieces += piece
        count = len(self._layout.parts)
        to.write(_HEAD.pack(_MARK, count, words, rank) + pieces)
        to.truncate(_start(count) + 4 * words)

    def _piece(self, part: Part, rank: int, start: int) -> tuple[bytes, int]:
        """The piece of ``part`` whose words begin at ``start``, and where they end."""
        b = start + self._words(rank, part.inputs)
        end = b + self._words(rank, -(-part.outputs // _LANES) * _LANES)
        packed = _PIECE.pack(
            part.layer, part.slice, self._layout.bfloat16, part.inputs, part.outputs, rank, start, b
        )  # fmt: skip
        return packed, end

    def _words(self, rank: int, width: int) -> int:
        padded = 4 if rank <= 4 else 8 if rank <= 8 else -(-rank // _LANES) * _LANES
        return padded * width // (2 if self._layout.bfloat16 else 1)


def _start(count: int) -> int:
    return -(-(_HEAD.size + count * _PIECE.size) // _ALIGNED) * _ALIGNED
