"""Norms of an adapter's delta weights from its small factors; the full matrices are never made.

A module's delta weight is D = s·B·A with A of (rank, in) and B of (out, rank). By the cyclic property of the trace
(https://en.wikipedia.org/wiki/Trace_(linear_algebra)#Cyclic_property) the Frobenius inner product of two of them is

    <B1·A1, B2·A2> = tr(A1ᵀ·B1ᵀ·B2·A2) = sum of (B1ᵀ·B2) ∘ (A1·A2ᵀ),

which needs matrices of rank by rank only. ‖D1 - D2‖² = ‖D1‖² + ‖D2‖² - 2<D1, D2> loses its digits where the two are nearly
equal; there D1 - D2 = [s1·B1, -s2·B2]·[A1; A2] is reduced by two QR decompositions, whose Q do not change a norm.
"""

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import FileIO
from typing import TYPE_CHECKING, BinaryIO

from lorarack.registry.artifact.peft_config import PeftConfig
from lorarack.registry.artifact.weights import FLOATS, Pair, Tensor, pair_up, read_header

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

#: Where the squared difference is smaller than this share of the squares, too few digits are left of it.
_CANCELLED = 1e-6


@dataclass(frozen=True, slots=True)
class Factors:
    """One module's delta weight: ``b`` times ``a``, with the scale in ``b``."""

    a: "Matrix"
    b: "Matrix"

    @property
    def shape(self) -> tuple[int, int]:
        """Of the delta weight."""
        return self.b.shape[0], self.a.shape[1]


class Deltas:
    """The delta weights in an open, checked weight file, read one module at a time."""

    def __init__(self, file: BinaryIO, file_bytes: int, config: PeftConfig) -> None:
        self._file = file
        self._config = config
        pairs: Mapping[str, Pair] = pair_up(read_header(file, file_bytes)).by_module
        self._pairs = {module: (pair.a, pair.b) for module, pair in pairs.items() if pair.a and pair.b}

    @property
    def modules(self) -> frozenset[str]:
        """Names of the modules that have one."""
        return frozenset(self._pairs)

    def factors(self, module: str) -> Factors | None:
        """The factors of one module's delta weight, or None where it has none."""
        pair = self._pairs.get(module)
        if pair is None:
            return None
        a, b = (self._read(tensor) for tensor in pair)
        return Factors(a, b * self._config.scaling_of(module, a.shape[0]))

    def _read(self, tensor: Tensor) -> "Matrix":
        self._file.seek(tensor.start)
        return decode(self._file.read(tensor.end - tensor.start), tensor.dtype).reshape(tensor.shape)


def decode(data: bytes, dtype: str) -> "Matrix":
    """The numbers in ``data``; ``dtype`` is F32, F16 or BF16, the upper half of an F32."""
    import numpy as np

    if dtype not in FLOATS:
        raise ValueError(f"{dtype} is no floating point number that adapters have")
    if dtype == "BF16":
        narrow = (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")
    else:
        narrow = np.frombuffer(data, "<f4" if dtype == "F32" else "<f2")
    with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one; what has NaN was refused long before
        return narrow.astype(np.float64)


def norm(one: Factors) -> float:
    """The Frobenius norm of a delta weight."""
    return math.sqrt(max(_inner(one, one), 0.0))


def distance(one: Factors, other: Factors) -> float:
    """The Frobenius norm of the difference of two delta weights of one shape."""
    import numpy as np

    squares = _inner(one, one) + _inner(other, other)
    squared = squares - 2 * _inner(one, other)
    if squared > _CANCELLED * squares:
        return math.sqrt(squared)
    r_b = np.asarray(np.linalg.qr(np.hstack([one.b, -other.b]), mode="r"))
    r_a = np.asarray(np.linalg.qr(np.vstack([one.a, other.a]).T, mode="r"))
    return float(np.linalg.norm(r_b @ r_a.T))


def _inner(one: Factors, other: Factors) -> float:
    return float(((one.b.T @ other.b) * (one.a @ other.a.T)).sum())


def modules_over(weights: FileIO, config: PeftConfig, modules: Iterable[str], most: float) -> list[str]:
    """Those of ``modules`` whose delta weight has a root mean square over ``most``."""
    with os.fdopen(os.dup(weights.fileno()), "rb") as file:
        file.seek(0)
        deltas = Deltas(file, os.fstat(file.fileno()).st_size, config)
        found = []
        for module in modules:
            factors = deltas.factors(module)
            if factors is not None:
                out, width = factors.shape
                if not norm(factors) <= most * (out * width) ** 0.5:  # NaN is over it too
                    found.append(module)
        return found
