"""Publishing next to the least that any careful store must do: copy, hash and fsync the same bytes once."""

import hashlib
import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from benchmarks.report import Row, seconds
from benchmarks.timing import in_turns

from lorarack.registry import Registry, open_registry

GOAL = 1.3
_WIDTH, _RANK = 2048, 16
_PIECE = 2**20


def rows(megabytes: tuple[int, ...] = (20, 200), *, times: int = 7) -> list[Row]:
    """One row for each size."""
    found = []
    for size in megabytes:
        with TemporaryDirectory(prefix="lorarack-bench-") as scratch:
            found.append(_row(Path(scratch), size, times))
    return found


def _row(scratch: Path, size: int, times: int) -> Row:
    modules = max(size * 10**6 // (2 * _WIDTH * _RANK * 4), 1)
    base(scratch / "base", modules)
    with open_registry(scratch / "home") as registry:
        registry.add_base(str(scratch / "base"), "bench")
        # Another seed for each run: equal bytes would be one version, and nothing would be written the second time.
        folders = iter([adapter(scratch / f"adapter-{run}", modules, run) for run in range(times + 1)])
        sources = iter([scratch / f"adapter-{run}" / "adapter_model.safetensors" for run in range(times)])
        registry.publish(next(folders), "support", base="bench")
        works: dict[str, Callable[[], object]] = {
            "copy": lambda: copy_hash_sync(next(sources), scratch / "copies"),
            "publish": lambda: _publish(registry, next(folders)),
        }
        taken = in_turns(works, times)
    ratio = taken["publish"] / taken["copy"]
    what = f"publish {size} MB ÷ copy, sha256 and fsync once"
    return Row(what, seconds(taken["publish"]), seconds(taken["copy"]), ratio, "≤ 1.3", ratio <= GOAL)


def _publish(registry: Registry, folder: Path) -> None:
    assert registry.publish(folder, "support", base="bench").created


def copy_hash_sync(source: Path, target: Path) -> str:
    """Copy ``source`` into folder ``target`` in pieces of 1 MiB, hashing them on the way, and fsync it; the digest."""
    target.mkdir(exist_ok=True)
    found = hashlib.sha256()
    copy = target / source.parent.name
    with source.open("rb", buffering=0) as reader, copy.open("wb", buffering=0) as writer:
        while piece := reader.read(_PIECE):
            found.update(piece)
            writer.write(piece)
        os.fsync(writer.fileno())
    return found.hexdigest()


def base(folder: Path, modules: int) -> Path:
    """A base model with that many layers on which an adapter can sit: their weights are there in name only (zeros)."""
    folder.mkdir(parents=True)
    names = [f"model.layers.{layer}.self_attn.q_proj.weight" for layer in range(modules)]
    entry = _WIDTH * _WIDTH
    header = {
        name: {"dtype": "F8_E4M3", "shape": [_WIDTH, _WIDTH], "data_offsets": [place * entry, (place + 1) * entry]}
        for place, name in enumerate(names)
    }
    raw = json.dumps(header).encode()
    path = folder / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(raw)) + raw)
    os.truncate(path, 8 + len(raw) + modules * entry)  # a hole: it takes no space
    (folder / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"], "vocab_size": 32000}))
    return folder


def adapter(folder: Path, modules: int, seed: int) -> Path:
    """A LoRA of rank 16 on all modules of that base, with random weights of its own."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    header, tensors, position = {}, [], 0
    for layer in range(modules):
        module = f"base_model.model.model.layers.{layer}.self_attn.q_proj"
        for side, shape in (("A", (_RANK, _WIDTH)), ("B", (_WIDTH, _RANK))):
            # As large as trained ones: far larger ones are looked at again, in case they drown the base.
            tensors.append(np.float32(0.02) * random.standard_normal(shape, dtype=np.float32))
            end = position + tensors[-1].nbytes
            header[f"{module}.lora_{side}.weight"] = {"dtype": "F32", "shape": shape, "data_offsets": [position, end]}
            position = end
    raw = json.dumps(header).encode()
    with (folder / "adapter_model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(raw)) + raw)
        for tensor in tensors:
            file.write(tensor.tobytes())
        os.fsync(file.fileno())
    config = {"peft_type": "LORA", "r": _RANK, "lora_alpha": 2 * _RANK, "target_modules": ["q_proj"], "bias": "none"}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder
