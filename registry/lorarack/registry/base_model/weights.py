"""Which files hold a base model's weights, what tensors are in them, and a sample of their bytes."""

import hashlib
import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import BinaryIO

from lorarack.registry.artifact.limits import MAX_HEADER_BYTES
from lorarack.registry.artifact.other_formats import START, other_kind
from lorarack.registry.artifact.weights import HeaderError, Tensor, read_header
from lorarack.registry.base_model.files import BaseFiles
from lorarack.registry.base_model.quantisation import holds_shape
from lorarack.registry.errors import InvalidArtifact

USE = "used as a base"

_ONE_FILE = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_SAMPLED_TENSORS = 48
_RUNS = 3
_RUN_BYTES = 1024
_SHAPE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Weights:
    """The headers of all weight files, a digest of a sample of their bytes, and the tensors that hold shapes."""

    files: tuple[str, ...]
    tensors: list[Tensor]
    sample: str
    shapes: dict[str, bytes]


def read_weights(files: BaseFiles, names: set[str], subject: str) -> Weights:
    """All tensors by name, and the digest of a sample: equal however the tensors are spread over files.

    Raises:
        InvalidArtifact: no safetensors weights, or damaged ones; its sentence begins with ``subject``.
    """
    located: list[tuple[Tensor, BinaryIO]] = []
    chosen = weight_files(files, names, subject)
    with ExitStack() as opened:
        for name in chosen:
            file = opened.enter_context(files.open(name))
            try:
                found = read_header(file, files.size(name))
            except HeaderError as error:
                file.seek(0)
                other = other_kind(file.read(START))
                raise _invalid(
                    f"{name} {other}" if other else f"{name}: {error}; download or convert it again", subject
                ) from error
            located.extend((tensor, file) for tensor in found)
        if not located:
            raise _invalid("it holds no tensors; convert it with transformers' save_pretrained", subject)
        located.sort(key=lambda pair: pair[0].name)
        return Weights(tuple(chosen), [tensor for tensor, _ in located], _sample(located), _shapes(located))


def weight_files(files: BaseFiles, names: set[str], subject: str) -> list[str]:
    """The files that transformers would load. Some repositories hold the weights once more, in another layout."""
    if _ONE_FILE in names:
        return [_ONE_FILE]
    if _INDEX in names:
        return _indexed(files, names, subject)
    found = sorted(name for name in names if name.endswith(".safetensors") and not name.startswith("adapter_"))
    if not found:
        raise _invalid("it has no safetensors weights; convert it with transformers' save_pretrained", subject)
    return found


def _indexed(files: BaseFiles, names: set[str], subject: str) -> list[str]:
    try:
        if files.size(_INDEX) > MAX_HEADER_BYTES:
            raise ValueError("too large")
        with files.open(_INDEX) as file:
            index = json.load(file)
    except (ValueError, RecursionError):
        index = None
    table = index.get("weight_map") if isinstance(index, dict) else None
    listed = set(table.values()) if isinstance(table, dict) and all(isinstance(n, str) for n in table.values()) else ()
    if not listed or not names.issuperset(listed):
        raise _invalid(f"its {_INDEX} does not name weight files that are here; download it again", subject)
    return sorted(listed)


def _shapes(located: Sequence[tuple[Tensor, BinaryIO]]) -> dict[str, bytes]:
    found = {}
    for tensor, file in located:
        if holds_shape(tensor.name) and tensor.end - tensor.start <= _SHAPE_BYTES:
            file.seek(tensor.start)
            found[tensor.name] = file.read(tensor.end - tensor.start)
    return found


def _sample(located: Sequence[tuple[Tensor, BinaryIO]]) -> str:
    sample = hashlib.sha256()
    filled = [(tensor, file) for tensor, file in located if tensor.end > tensor.start]
    count = min(_SAMPLED_TENSORS, len(filled))
    for place in range(count):
        tensor, file = filled[place * len(filled) // count]
        sample.update(tensor.name.encode(errors="surrogatepass"))
        length = tensor.end - tensor.start
        room = max(0, length - _RUN_BYTES)
        for run in range(_RUNS):
            file.seek(tensor.start + room * run // (_RUNS - 1))
            sample.update(file.read(min(_RUN_BYTES, length)))
    return sample.hexdigest()


def _invalid(problem: str, subject: str) -> InvalidArtifact:
    return InvalidArtifact([problem], subject=subject, purpose=USE)
