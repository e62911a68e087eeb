"""A PEFT LoRA folder as matrices, and back."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from lorarack.registry.artifact.adapter_config import applied_config, feature_problems
from lorarack.registry.artifact.manifest import CONFIG, WEIGHTS
from lorarack.registry.artifact.peft_config import PeftConfig
from lorarack.registry.errors import InvalidArtifact

_PREFIX = "base_model.model."
_ENDS = {".lora_A.weight": ".lora_B.weight", ".lora_embedding_A": ".lora_embedding_B"}


@dataclass(frozen=True, slots=True)
class Factors:
    """One module's A (rank, in) and B (out, rank). ``end`` is how PEFT's name of A ends: an embedding's ends otherwise."""

    a: Any
    b: Any
    end: str = ".lora_A.weight"

    @property
    def embedding(self) -> bool:
        """Whether the module is an embedding."""
        return self.end != ".lora_A.weight"


@dataclass(frozen=True, slots=True)
class LoraWeights:
    """An adapter: PEFT's configuration as it is written, and the factors by module."""

    config: Mapping[str, Any]
    factors: Mapping[str, Factors]

    @property
    def applied(self) -> PeftConfig:
        """The part of the configuration that decides how the factors are applied."""
        applied = applied_config(json.dumps(dict(self.config)).encode())
        if applied is None:
            raise InvalidArtifact(["its adapter_config.json cannot be read"], purpose="changed")
        return applied

    def scalings(self) -> dict[str, float]:
        """What each module's B·A is multiplied by."""
        applied = self.applied
        return {module: applied.scaling_of(module, len(found.a)) for module, found in self.factors.items()}

    @property
    def rank(self) -> int:
        """The largest rank of any module."""
        return max(len(found.a) for found in self.factors.values())


def read_weights(folder: Path, subject: str) -> LoraWeights:
    """The adapter in a PEFT folder.

    Args:
        folder: where it is.
        subject: what a sentence about it begins with.

    Raises:
        InvalidArtifact: it has something beside A and B, as DoRA has.
    """
    config = json.loads((folder / CONFIG).read_bytes())
    if problems := feature_problems(config):
        raise InvalidArtifact(problems, subject=subject, purpose="changed")
    return LoraWeights(config, factors_of(load_file(folder / WEIGHTS)))


def factors_of(tensors: Mapping[str, Any]) -> dict[str, Factors]:
    """The factors by module of tensors with PEFT's names; a base's own weights, which PEFT saves along, are left out."""
    found = {}
    for name, tensor in tensors.items():
        end = next((end for end in _ENDS if name.endswith(end)), None)
        if end is not None:
            stem = name.removesuffix(end)
            found[stem.removeprefix(_PREFIX)] = Factors(tensor, tensors[stem + _ENDS[end]], end)
    return found


def tensors_of(factors: Mapping[str, Factors]) -> dict[str, Any]:
    """The factors by PEFT's names."""
    tensors = {}
    for module, found in factors.items():
        tensors[f"{_PREFIX}{module}{found.end}"] = found.a.contiguous()
        tensors[f"{_PREFIX}{module}{_ENDS[found.end]}"] = found.b.contiguous()
    return tensors


def write_weights(weights: LoraWeights, folder: Path) -> None:
    """Write the adapter as a PEFT folder."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors_of(weights.factors), folder / WEIGHTS, metadata={"format": "pt"})
    (folder / CONFIG).write_text(json.dumps(dict(weights.config), indent=2, sort_keys=True))
