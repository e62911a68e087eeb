"""The modules of a base model with their sizes, and its number of parameters, independent of how its weights are stored."""

from typing import Any

from lorarack.registry.artifact.module_names import loaded_name
from lorarack.registry.artifact.weights import Tensor
from lorarack.registry.base_model.quantisation import HELPERS, quantised_modules
from lorarack.registry.base_model.sampled import architecture_of
from lorarack.registry.values import ModuleTable


def module_table(tensors: list[Tensor], config: dict[str, Any], notes: dict[str, bytes] | None = None) -> ModuleTable:
    """Every linear layer and embedding by the name that transformers gives it, and the output head that is tied and has no tensor.

    Args:
        tensors: the headers.
        config: ``config.json``.
        notes: contents of the small tensors in which a quantised layer's shape is written.
    """
    architecture = architecture_of(config)
    stored = {
        tensor.name.removesuffix(".weight"): (tensor.shape[0], tensor.shape[1])
        for tensor in tensors
        if tensor.name.endswith(".weight") and len(tensor.shape) == 2
    }
    stored |= quantised_modules(tensors, config, notes or {})
    table: ModuleTable = {loaded_name(name, architecture): shape for name, shape in stored.items()}
    embedding = next((shape for name, shape in table.items() if name.endswith("embed_tokens")), None)
    if embedding and "lm_head" not in table and _is_tied(config):
        table["lm_head"] = embedding
    return table


def model_size(tensors: list[Tensor], config: dict[str, Any], notes: dict[str, bytes] | None = None) -> int:
    """How many parameters the model has: a packed layer counts as what it unpacks to, its scales and the like not at all."""
    packed = quantised_modules(tensors, config, notes or {})
    owners = sorted(packed)
    total = sum(out * width for out, width in packed.values())
    quantised = bool(owners) or "quantization_config" in config or "compression_config" in config
    for tensor in tensors:
        module, _, kind = tensor.name.rpartition(".")
        if quantised and (kind in HELPERS or ".weight." in tensor.name):
            continue
        if kind in ("weight", "qweight", "weight_packed") and module in packed:
            continue
        total += tensor.size
    return total


def _is_tied(config: dict[str, Any]) -> bool:
    text = config.get("text_config")
    nested = text.get("tie_word_embeddings") if isinstance(text, dict) else None
    return bool(config.get("tie_word_embeddings", True if nested is None else nested))
