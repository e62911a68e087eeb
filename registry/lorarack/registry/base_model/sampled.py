"""The fingerprint of lorarack 0.1.0: architecture, shapes, token table and a sample of the weights.

Too weak to say what a base is (it does not see ``config.json``, and 48 tensors at most), and quick: it finds bases and exports
made by 0.1.0, and notices changed files before a start without reading them whole. Its form must never change.
"""

import hashlib
import json
from typing import Any

from lorarack.registry.artifact.weights import Tensor
from lorarack.registry.values import ModuleTable


def sampled_fingerprint(
    config: dict[str, Any], tensors: list[Tensor], vocabulary: str | None, vocab_size: int, sample: str
) -> str:
    """``sha256:`` of what 0.1.0 looked at."""
    identity = {
        "architecture": architecture_of(config),
        "modules": plain_modules(tensors, config),
        "vocabulary": vocabulary,
        "vocab_size": vocab_size,
        "dtypes": sorted({tensor.dtype for tensor in tensors}),
        "sample": sample,
    }
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    return f"sha256:{digest}"


def architecture_of(config: dict[str, Any]) -> str:
    """The model class."""
    match config.get("architectures"):
        case [str(name), *_]:
            return name
        case _:
            return str(config.get("model_type", "unknown"))


def plain_modules(tensors: list[Tensor], config: dict[str, Any]) -> ModuleTable:
    """Every two-dimensional ``weight`` under its name in the file, and the output head that is tied to the embedding."""
    table: ModuleTable = {}
    for tensor in tensors:
        if tensor.name.endswith(".weight") and len(tensor.shape) == 2:
            table[tensor.name.removesuffix(".weight")] = (tensor.shape[0], tensor.shape[1])
    embedding = next((shape for name, shape in table.items() if name.endswith("embed_tokens")), None)
    if embedding and "lm_head" not in table and config.get("tie_word_embeddings", True):
        table["lm_head"] = embedding
    return table
