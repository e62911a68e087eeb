"""Which files hold a base model's weights, what tensors are in them, and a sample of their bytes."""

import hashlib
import json
from collections.abc import Sequence
from contextlib import ExitStack
from typing import BinaryIO

from lorarack.registry.artifact.header import HeaderError, Tensor, read_header
from lorarack.registry.artifact.limits import MAX_HEADER_BYTES
from lorarack.registry.artifact.magic import START, other_kind
from lorarack.registry.base_model.files import BaseFiles
from lorarack.registry.errors import InvalidArtifact

USE = "used as a base"

_ONE_FILE = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_SAMPLED_TENSORS = 48
_RUNS = 3
_RUN_BYTES = 1024


def read_weights(files: BaseFiles, names: set[str], subject: str) -> tuple[list[Tensor], str]:
    """All tensors by name, and the digest of a sample: equal however the tensors are spread over files.

    Raises:
        InvalidArtifact: no safetensors weights, or damaged ones; its sentence begins with ``subject``.
    """
    located: list[tuple[Tensor, BinaryIO]] = []
    with ExitStack() as opened:
        for name in weight_files(files, names, subject):
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
        return [tensor for tensor, _ in located], _sample(located)


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
