"""The base's own weights in an adapter's file: PEFT writes them for adapted embeddings, PEFT loads them, vLLM ignores them.

They are kept where they equal the base's, because then PEFT and vLLM compute the same; otherwise the adapter is refused.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from io import FileIO
from typing import TYPE_CHECKING, Protocol

from lorarack.registry.artifact.weights import FLOATS, Pair, Tensor
from lorarack.registry.errors import LorarackError
from lorarack.registry.texts import listed
from lorarack.registry.values import Base

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Bits = NDArray[np.unsignedinteger]

#: A tensor and its bytes in pieces, each a whole number of elements.
Stored = tuple[Tensor, Iterator[bytes]]

#: Elements compared in one go.
CHUNK = 2**20
#: How to save without them.
WAY = "save the adapter with save_pretrained(…, save_embedding_layers=False)"


class BaseContents(Protocol):
    """The base's files. Each method raises ``LorarackError`` where they cannot be reached, or are no longer the base's."""

    def tokens(self) -> Mapping[str, int]:
        """The base's token table."""
        ...

    def weight(self, module: str) -> AbstractContextManager[Stored]:
        """The weight of ``module``; that of the embedding where the head is tied to it."""
        ...


def base_weight_problems(weights: FileIO, found: Mapping[str, Tensor], base: Base, contents: BaseContents) -> list[str]:
    """Problems with base weights in an adapter's file that differ from the base's; one sentence for each cause.

    Args:
        weights: the adapter's weight file.
        found: the weights in it, by module.
        base: the base model.
        contents: the base's files.
    """
    resized, other, unknown, why = list[str](), list[str](), list[str](), ""
    for module, tensor in found.items():
        shape = base.modules.get(module)
        if shape is None or tensor.shape != shape or tensor.dtype not in FLOATS:
            (resized if shape and len(tensor.shape) == 2 and tensor.shape[0] != shape[0] else other).append(tensor.name)
            continue
        try:
            with contents.weight(module) as (its, pieces):
                same = its.shape == tensor.shape and its.dtype in FLOATS and _same(weights, tensor, its, pieces)
        except LorarackError as error:
            unknown.append(tensor.name)
            why = error.message.rstrip(".")
        else:
            if not same:
                other.append(tensor.name)
    problems = []
    if resized:
        problems.append(
            f"{listed(resized)} has other rows than base {base.name!r}: tokens were added, and vLLM serves the base's own "
            "embedding; train without new tokens"
        )
    if other:
        problems.append(
            f"{listed(other)} is not the weight of base {base.name!r}, and vLLM serves the base's own; if it was not trained, "
            f"{WAY}; if it was, train LoRA on it in place of the whole"
        )
    if unknown:
        problems.append(
            f"{listed(unknown)} cannot be compared with base {base.name!r} ({why}); make the base's files reachable, or, if it was "
            f"not trained, {WAY}"
        )
    return problems


def tied_problems(weights: FileIO, pairs: Mapping[str, Pair]) -> list[str]:
    """Why the adapters of head and embedding are not one, though ``ensure_weight_tying`` says that they are.

    PEFT keeps one for both then; vLLM applies what the file has for each.
    """
    embedding = next((pair for module, pair in pairs.items() if module.rpartition(".")[2] == "embed_tokens"), None)
    head = pairs.get("lm_head")
    if embedding is None or head is None:
        return []
    sides = ((embedding.a, head.b), (head.a, embedding.b))
    if all(wide and tall and _transposed(weights, wide, tall) for wide, tall in sides):
        return []
    return [
        "ensure_weight_tying is set, but lm_head's weights are not embed_tokens' transposed, and vLLM applies each as it is in the "
        "file; save the adapter again, or train with ensure_weight_tying=False"
    ]


def _same(weights: FileIO, tensor: Tensor, its: Tensor, pieces: Iterator[bytes]) -> bool:
    """Whether ``tensor`` is the base's weight, perhaps rounded to half precision on the way, as loading it so does."""
    via = {"F32", "BF16", "F16"}
    start = 0
    for piece in pieces:
        theirs = _numbers(piece, its.dtype)
        ours = _numbers(_read(weights, tensor, start, theirs.size), tensor.dtype)
        start += theirs.size
        via = {dtype for dtype in via if _equal(ours, rounded(rounded(theirs, dtype), tensor.dtype))}
        if not via:
            return False
    return start == tensor.size


def _transposed(weights: FileIO, wide: Tensor, tall: Tensor) -> bool:
    """Whether ``tall`` (many rows, as many columns as the rank) is ``wide`` with its sides exchanged."""
    if wide.dtype not in FLOATS or tall.dtype not in FLOATS or len(wide.shape) != 2 or wide.shape != tall.shape[::-1]:
        return False
    rows, columns = wide.shape
    step = max(1, CHUNK // max(rows, 1))
    for start in range(0, columns, step):
        count = min(step, columns - start)
        block = _numbers(_read(weights, tall, start * rows, count * rows), tall.dtype).reshape(count, rows)
        for row in range(rows):
            line = _numbers(_read(weights, wide, row * columns + start, count), wide.dtype)
            if not _equal(line, block[:, row]):
                return False
    return True


def _read(weights: FileIO, tensor: Tensor, start: int, count: int) -> bytes:
    width = (tensor.end - tensor.start) // max(tensor.size, 1)
    weights.seek(tensor.start + start * width)
    data = bytearray()
    while len(data) < count * width and (piece := weights.read(count * width - len(data))):
        data += piece
    return bytes(data)


def _numbers(data: bytes, dtype: str) -> "NDArray[np.float32]":
    import numpy as np

    if dtype == "BF16":
        return (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")
    return np.frombuffer(data, "<f4" if dtype == "F32" else "<f2").astype(np.float32)


def rounded(numbers: "NDArray[np.float32]", dtype: str) -> "NDArray[np.float32]":
    """``numbers`` as they are after a stay in ``dtype``, rounded to the nearest, ties to even."""
    import numpy as np

    if dtype == "F32":
        return numbers
    if dtype == "F16":
        with np.errstate(over="ignore"):
            return numbers.astype(np.float16).astype(np.float32)
    bits = numbers.view(np.uint32)
    return ((bits + (((bits >> 16) & 1) + np.uint32(0x7FFF))) & np.uint32(0xFFFF0000)).view(np.float32)


def _equal(one: "NDArray[np.float32]", other: "NDArray[np.float32]") -> bool:
    return one.shape == other.shape and bool((one == other).all())
