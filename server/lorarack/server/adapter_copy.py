"""The copy of one adapter that an engine loads: an unnamed temporary file, verified while it is written.

The engine may read an adapter again at any time, within a step that other requests share. A path could be gone, cut short or
changed by then; an open file that has no name cannot be. It is packed for the engine (`adapter_image`) where that can be done
here; else it is a safetensors file with the tensors as published, and with each module's rank and scaling in its metadata, so
that the engine matches no patterns.
"""

import hashlib
import json
import os
import struct
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import IO, BinaryIO

from lorarack.registry import Version
from lorarack.registry.artifact.adapter_config import applied_config, canonical_config
from lorarack.registry.artifact.limits import MAX_CONFIG_BYTES, MAX_HEADER_BYTES
from lorarack.registry.artifact.manifest import CONFIG, WEIGHTS, sha256
from lorarack.registry.artifact.peft_config import PeftConfig, TimeBudget
from lorarack.registry.artifact.weights import HeaderError, Tensor, pair_up, read_header
from lorarack.registry.errors import EngineError
from lorarack.server.adapter_image import Packer
from lorarack.server.background import go_behind_the_engine

#: The entry of the metadata that holds ``{module: [rank, scaling]}``.
SCALINGS = "lorarack"

#: CPU seconds for matching the patterns of one configuration. What is published takes a fraction of that.
PATTERN_SECONDS = 10.0

_CHUNK = 2**20
#: Packing holds a whole adapter in memory: one at a time.
_PACKING = threading.Lock()
_HASHING = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lorarack-digest", initializer=go_behind_the_engine)


class NotAsPublished(Exception):
    """A file of the local cache is missing, or not what was published."""


def copy_verified(place: Path, version: Version, folder: Path, packer: Packer | None = None) -> IO[bytes]:
    """Copy the adapter in ``place`` to an open, unnamed file in ``folder``, packed by ``packer`` if it suits that.

    Raises:
        NotAsPublished: a file is missing or has other bytes.
        EngineError: its configuration cannot be applied in reasonable time.
        OSError: the disk.
    """
    digests = {file.name: file.digest for file in version.files}
    config = _read_config(place / CONFIG, digests.get(CONFIG, ""))
    with _open(place / WEIGHTS) as source:
        size = os.fstat(source.fileno()).st_size
        head = source.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else MAX_HEADER_BYTES + 1
        if length > min(MAX_HEADER_BYTES, size):
            raise NotAsPublished(f"{WEIGHTS} is cut short")
        head += source.read(length)
        try:
            tensors = read_header(BytesIO(head), size)
        except HeaderError as error:
            raise NotAsPublished(f"{WEIGHTS}: {error}") from error
        copy = tempfile.TemporaryFile(prefix=".engine-", dir=folder)  # noqa: SIM115 - the caller's, once it is whole
        try:
            scalings = _scalings(tensors, config, version.reference)
            digest = digests.get(WEIGHTS, "")
            pairs = pair_up(tensors)
            modules = tuple(pairs.by_module.values())
            if packer is not None and not pairs.unknown and packer.suits(modules):
                with _PACKING:
                    weights = _read_weights(source, size - len(head))
                    found = _HASHING.submit(_digest_of, head, weights)  # beside the packing, which takes as long
                    try:
                        packer.write(modules, scalings, weights, len(head), copy)
                    except EngineError as error:
                        _check_digest(found.result(), digest)
                        raise EngineError(
                            f"{version.reference} is not loaded: {error.message}", code=error.code
                        ) from error
                    _check_digest(found.result(), digest)
            else:
                copy.write(_header(tensors, len(head), scalings))
                _copy_weights(source, head, digest, copy)
            copy.flush()
        except BaseException:
            copy.close()
            raise
        return copy


def _read_weights(source: BinaryIO, size: int) -> bytearray:
    weights = bytearray(size)
    if source.readinto(weights) != size:  # type: ignore[attr-defined]
        raise NotAsPublished(f"{WEIGHTS} is cut short")
    return weights


def _digest_of(head: bytes, weights: bytearray) -> str:
    found = hashlib.sha256(head)
    found.update(weights)
    return found.hexdigest()


def _copy_weights(source: BinaryIO, head: bytes, digest: str, to: IO[bytes]) -> None:
    """Copy what follows ``head``, verified."""
    found = hashlib.sha256(head)
    while chunk := source.read(_CHUNK):
        found.update(chunk)
        to.write(chunk)
    _check_digest(found.hexdigest(), digest)


def _check_digest(found: str, digest: str) -> None:
    if f"sha256:{found}" != digest:
        raise NotAsPublished(f"{WEIGHTS} has other bytes")


def _read_config(path: Path, digest: str) -> PeftConfig:
    with _open(path) as file:
        raw = file.read(MAX_CONFIG_BYTES + 1)
    try:
        canonical = canonical_config(json.loads(raw))
    except (ValueError, RecursionError, AttributeError) as error:
        raise NotAsPublished(f"{CONFIG} is no configuration") from error
    config = applied_config(canonical)
    if sha256(canonical) != digest or config is None:
        raise NotAsPublished(f"{CONFIG} has other bytes")
    return config


def _open(path: Path) -> BinaryIO:
    """The file for reading; never a link, a pipe or a folder."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        return os.fdopen(handle, "rb")
    except OSError as error:
        raise NotAsPublished(f"{path.name} cannot be read: {error.strerror}") from error


def _scalings(tensors: tuple[Tensor, ...], config: PeftConfig, name: str) -> dict[str, tuple[int, float]]:
    budget = TimeBudget(PATTERN_SECONDS)
    scalings: dict[str, tuple[int, float]] = {}
    try:
        for module, pair in pair_up(tensors).by_module.items():
            budget.check()
            if pair.a is not None:
                rank = pair.a.shape[0]
                scalings[module] = rank, config.scaling_of(module, rank, budget)
    except (ValueError, ArithmeticError) as error:
        raise EngineError(
            f"{name} is not loaded: {error}. Publish it again with fewer or simpler patterns in its configuration.",
            code="bad_patterns",
        ) from error
    return scalings


def _header(tensors: tuple[Tensor, ...], data_start: int, scalings: dict[str, tuple[int, float]]) -> bytes:
    entries: dict[str, object] = {"__metadata__": {SCALINGS: json.dumps(scalings)}}
    for tensor in tensors:
        offsets = [tensor.start - data_start, tensor.end - data_start]
        entries[tensor.name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": offsets}
    raw = json.dumps(entries, separators=(",", ":")).encode()
    raw += b" " * (-len(raw) % 8)  # the data begins at a multiple of eight
    return struct.pack("<Q", len(raw)) + raw
