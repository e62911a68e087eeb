"""A base model's module table and fingerprint, from its configuration, its safetensors headers and a sample of its weights.

Two models have one fingerprint when architecture, module shapes, token table and all sampled bytes are equal: a fine-tune
of the same shape, or a quantised or converted copy, is another base. The sample takes up to 48 tensors spread over the
sorted names and, from each, up to 3 runs of 1 KiB: a training run that touches all layers cannot miss them all.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from lorarack.registry.artifact.header import Tensor
from lorarack.registry.artifact.limits import MAX_CONFIG_BYTES, MAX_TOKENIZER_BYTES
from lorarack.registry.artifact.magic import other_kind
from lorarack.registry.artifact.tokenizer import vocabulary_digest
from lorarack.registry.base_model.files import BaseFiles
from lorarack.registry.base_model.weights import USE, read_weights
from lorarack.registry.errors import InvalidArtifact
from lorarack.registry.values import ModuleTable


@dataclass(frozen=True, slots=True)
class Reading:
    """What ``read_base`` found."""

    fingerprint: str
    architecture: str
    vocabulary: str | None
    vocab_size: int
    parameters: int
    modules: ModuleTable


def read_base(files: BaseFiles) -> Reading:
    """Read the base model in ``files``.

    Raises:
        InvalidArtifact: no configuration, no safetensors weights, or damaged ones.
    """
    names = set(files.names())
    subject = f"The base model {files.identity().value!r}"
    config = _read_config(files, names, subject)
    tensors, sample = read_weights(files, names, subject)
    architecture = _architecture(config)
    modules = module_table(tensors, config)
    vocabulary = _vocabulary(files, names, subject)
    vocab_size = _vocab_size(config)
    identity = {
        "architecture": architecture,
        "modules": modules,
        "vocabulary": vocabulary,
        "vocab_size": vocab_size,
        "dtypes": sorted({tensor.dtype for tensor in tensors}),
        "sample": sample,
    }
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    return Reading(
        fingerprint=f"sha256:{digest}",
        architecture=architecture,
        vocabulary=vocabulary,
        vocab_size=vocab_size,
        parameters=sum(tensor.size for tensor in tensors),
        modules=modules,
    )


def module_table(tensors: list[Tensor], config: dict[str, Any]) -> ModuleTable:
    """Every module with a two-dimensional ``weight``, and the output head that is tied to the embedding and has no tensor."""
    table: ModuleTable = {}
    for tensor in tensors:
        if tensor.name.endswith(".weight") and len(tensor.shape) == 2:
            table[tensor.name.removesuffix(".weight")] = (tensor.shape[0], tensor.shape[1])
    embedding = next((shape for name, shape in table.items() if name.endswith("embed_tokens")), None)
    if embedding and "lm_head" not in table and config.get("tie_word_embeddings", True):
        table["lm_head"] = embedding
    return table


def _read_config(files: BaseFiles, names: set[str], subject: str) -> dict[str, Any]:
    if "config.json" not in names or files.size("config.json") > MAX_CONFIG_BYTES:
        raise InvalidArtifact(
            ["it has no config.json; give a folder or repository that transformers can load"],
            subject=subject,
            purpose=USE,
        )
    with files.open("config.json") as file:
        raw = file.read(MAX_CONFIG_BYTES + 1)
    try:
        config = json.loads(raw)
    except (ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        problem = f"its config.json {other_kind(raw) or 'is not a JSON object'}"
        raise InvalidArtifact([problem], subject=subject, purpose=USE)
    return config


def _architecture(config: dict[str, Any]) -> str:
    match config.get("architectures"):
        case [str(name), *_]:
            return name
        case _:
            return str(config.get("model_type", "unknown"))


def _vocab_size(config: dict[str, Any]) -> int:
    text = config.get("text_config")
    size = config.get("vocab_size") or (text.get("vocab_size") if isinstance(text, dict) else None)
    return size if isinstance(size, int) else 0


def _vocabulary(files: BaseFiles, names: set[str], subject: str) -> str | None:
    if "tokenizer.json" not in names or files.size("tokenizer.json") > MAX_TOKENIZER_BYTES:
        return None
    with files.open("tokenizer.json") as file:
        raw = file.read(MAX_TOKENIZER_BYTES + 1)
    found = vocabulary_digest(raw)
    other = other_kind(raw) if found is None else None
    if other:
        raise InvalidArtifact([f"its tokenizer.json {other}"], subject=subject, purpose=USE)
    return found
