"""Pairing an adapter's tensors and looking at their numbers, without torch."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

from lorarack.registry.artifact.header import Tensor

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PREFIX = "base_model.model."
_KINDS = {
    ".lora_A.weight": ("a", False),
    ".lora_B.weight": ("b", False),
    ".lora_embedding_A": ("a", True),
    ".lora_embedding_B": ("b", True),
}
#: The base's own weights of adapted embeddings, which PEFT's save_pretrained writes along and vLLM ignores.
_BASE_WEIGHTS = (".embed_tokens.base_layer.weight", ".lm_head.base_layer.weight")
_CHUNK = 2**18  # elements looked at in one go: as many as the processor's cache holds

FLOATS = frozenset({"F32", "F16", "BF16"})


@dataclass(slots=True)
class Pair:
    """The A and B of one module."""

    module: str
    embedding: bool
    a: Tensor | None = None
    b: Tensor | None = None


@dataclass(slots=True)
class Pairs:
    """All modules of an adapter, the base's own weights by module, and the tensors that are neither."""

    by_module: dict[str, Pair] = field(default_factory=dict)
    base_weights: dict[str, Tensor] = field(default_factory=dict)
    unknown: list[Tensor] = field(default_factory=list)


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


def largest_magnitude(weights: Path | FileIO, tensor: Tensor) -> float:
    """The largest magnitude among the numbers of ``tensor``; infinity where one is NaN or infinite, 0 where there are none."""
    import numpy as np

    bits = max((_largest_bits(chunk, tensor.dtype) for chunk in _chunks(weights, tensor)), default=0)
    if bits >= _EXPONENT[tensor.dtype]:
        return math.inf
    if tensor.dtype == "F16":
        return float(np.uint16(bits).view(np.float16))
    return float(np.uint32(bits << 16 if tensor.dtype == "BF16" else bits).view(np.float32))


# A float is NaN or infinite exactly when all bits of its exponent are set, and zero when all bits but the sign are clear.
_EXPONENT = {"F32": 0x7F80_0000, "F16": 0x7C00, "BF16": 0x7F80}
_MAGNITUDE = {"F32": 0x7FFF_FFFF, "F16": 0x7FFF, "BF16": 0x7FFF}


def _chunks(weights: Path | FileIO, tensor: Tensor) -> Iterator["NDArray[np.unsignedinteger]"]:
    import numpy as np

    if tensor.dtype not in FLOATS or tensor.size == 0:
        return
    element = np.dtype("<u4" if tensor.dtype == "F32" else "<u2")
    for start in range(0, tensor.size, _CHUNK):
        count = min(_CHUNK, tensor.size - start)
        if not isinstance(weights, Path):
            weights.seek(0)  # numpy counts the offset from where an open file stands
        yield np.fromfile(weights, dtype=element, count=count, offset=tensor.start + start * element.itemsize)


def _largest_bits(bits: "NDArray[np.unsignedinteger]", dtype: str) -> int:
    """Without the sign, the bits of floats have the order of their magnitudes; NaN comes last."""
    return int((bits & bits.dtype.type(_MAGNITUDE[dtype])).max())
