"""The compiled kernel's tables, from Python. ``kernel_build.py`` makes the library that is loaded here."""

import ctypes
import weakref
from collections.abc import Sequence
from pathlib import Path

import torch

from lorarack.registry.errors import EngineError
from lorarack.server.adapter_image import Image
from lorarack.server.user_cache import untrusted_reason

_TYPES = (torch.bfloat16, torch.float32)
_INPUTS_MULTIPLE = 8
MAX_RANK = 512


def suits_kernel(dtype: torch.dtype, inputs: int, max_rank: int) -> bool:
    """Whether the kernel computes layers with such weights."""
    return dtype in _TYPES and inputs % _INPUTS_MULTIPLE == 0 and max_rank <= MAX_RANK


class Kernel:
    """One loaded library. Loading it gives the operation ``lorarack::add_lora`` its CPU implementation, so: once a process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if reason := untrusted_reason(path):
            raise EngineError(f"the kernel {path} is not loaded: {reason}")
        try:
            torch.ops.load_library(path)
            self._library = ctypes.CDLL(str(path))
        except OSError as error:
            raise EngineError(f"the kernel {path} cannot be loaded: {error}") from error
        whole, number, address = ctypes.c_int, ctypes.c_int64, ctypes.c_void_p
        for name, arguments in {
            "new_rows": [],
            "set_rows": [whole, address, number],
            "new_layer": [whole, whole, number, whole, ctypes.POINTER(number), whole],
            "put": [whole, whole, whole, whole, address, number, address, number],
            "clear": [whole, whole],
            "keep": [whole],
            "use": [whole, number],
            "drop": [number],
            "load": [whole, number, number, number, ctypes.c_char_p],
        }.items():
            getattr(self._library, f"lorarack_{name}").argtypes = arguments
        for name in ("bytes", "keep", "load"):
            getattr(self._library, f"lorarack_{name}").restype = number

    def new_rows(self) -> int:
        """A table of rows: which slot each row of a batch has. None has one yet."""
        return int(self._library.lorarack_new_rows())

    def set_rows(self, rows: int, slots: torch.Tensor) -> None:
        """``slots``: int64, contiguous, one number per row; below 0 is no adapter."""
        if slots.dtype != torch.int64 or not slots.is_contiguous():
            raise ValueError("slots must be contiguous int64")
        self._library.lorarack_set_rows(rows, slots.data_ptr(), slots.numel())

    def new_layer(self, rows: int, dtype: torch.dtype, inputs: int, widths: Sequence[int], slots: int) -> int:
        """A layer of empty slots whose output has slices of ``widths``, for batches whose rows are in table ``rows``."""
        numbers = (ctypes.c_int64 * len(widths))(*widths)
        return int(self._library.lorarack_new_layer(rows, dtype == torch.bfloat16, inputs, len(widths), numbers, slots))

    def put(self, layer: int, slot: int, part: int, a: torch.Tensor, b: torch.Tensor) -> None:
        """Copy A ``(rank, inputs)`` and B ``(width, rank)`` of one slice into a slot, packed.

        Raises:
            EngineError: there is no memory for the copy; the slot keeps what it had.
        """
        if a.stride(1) != 1 or b.stride(1) != 1:
            a, b = a.contiguous(), b.contiguous()
        failed = self._library.lorarack_put(
            layer, slot, part, a.shape[0], a.data_ptr(), a.stride(0), b.data_ptr(), b.stride(0)
        )
        if failed:
            raise EngineError("there is no memory for another adapter; start the server with a smaller --max-loras.")

    def clear(self, layer: int, slot: int) -> None:
        """Empty a slot: its rows get nothing added."""
        self._library.lorarack_clear(layer, slot)

    def keep(self, slot: int) -> int:
        """The number of a new packed adapter: what all layers hold in ``slot`` now. Nothing is copied."""
        return int(self._library.lorarack_keep(slot))

    def use(self, slot: int, adapter: int) -> None:
        """Have ``slot`` of all layers hold a packed adapter; 0 empties it. Nothing is copied."""
        self._library.lorarack_use(slot, adapter)

    def drop(self, adapter: int) -> None:
        """Forget a packed adapter; its memory goes once no slot holds it."""
        self._library.lorarack_drop(adapter)

    def load(self, image: Image, file: int) -> int:
        """The number of a new packed adapter, read from the open ``file`` that begins with ``image``.

        Raises:
            EngineError: there is no memory, the image is of another model, or the file is cut short.
        """
        made = self._library.lorarack_load(file, image.start, image.words, image.count, image.pieces)
        if made < 0:
            reasons = {
                -1: "there is no memory for it",
                -2: "it is packed for another model",
                -3: "its file is cut short",
            }
            raise EngineError(f"an adapter is not loaded: {reasons[made]}.")
        return int(made)

    def bytes(self) -> int:
        """Memory that the packed weights take."""
        return int(self._library.lorarack_bytes())


class PackedAdapter:
    """An adapter in the kernel's memory, for as long as something has this."""

    def __init__(self, kernel: Kernel, number: int) -> None:
        self.number = number
        weakref.finalize(self, kernel.drop, number)
