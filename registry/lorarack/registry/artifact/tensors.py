"""Pairing an adapter's tensors."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from lorarack.registry.artifact.header import Tensor

_PREFIX = "base_model.model."
_KINDS = {
    ".lora_A.weight": ("a", False),
    ".lora_B.weight": ("b", False),
    ".lora_embedding_A": ("a", True),
    ".lora_embedding_B": ("b", True),
}
#: The base's own weights of adapted embeddings, which PEFT's save_pretrained writes along and vLLM ignores.
_BASE_WEIGHTS = (".embed_tokens.base_layer.weight", ".lm_head.base_layer.weight")

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
