"""The largest number of each tensor, found while a weight file passes by: whoever copies or hashes it reads it only once."""

import math
from collections.abc import Iterable

from lorarack.registry.artifact.header import Tensor
from lorarack.registry.artifact.tensors import FLOATS

# A float is NaN or infinite exactly when all bits of its exponent are set, and zero when all bits but the sign are clear.
_EXPONENT = {"F32": 0x7F80_0000, "F16": 0x7C00, "BF16": 0x7F80}
_MAGNITUDE = {"F32": 0x7FFF_FFFF, "F16": 0x7FFF, "BF16": 0x7FFF}


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
            self._look(tensor, view[max(tensor.start - start, 0) : tensor.end - start])
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
