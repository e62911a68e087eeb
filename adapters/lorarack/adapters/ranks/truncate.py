"""A whole adapter at lower ranks."""

from collections.abc import Mapping
from typing import Any

from lorarack.adapters.ranks.truncation import Decomposition, decompose, kept_energy
from lorarack.adapters.ranks.weights import Factors, LoraWeights


class Truncation:
    """Every lower rank of one adapter. Its modules are decomposed once, when it is made.

    A truncated adapter keeps the scaling factor of the whole one: alpha falls with the rank (with its square root for rsLoRA).
    """

    def __init__(self, weights: LoraWeights) -> None:
        self._weights = weights
        scalings = weights.scalings()
        self._decompositions: dict[str, Decomposition] = {
            module: decompose(found.a, found.b, scalings[module]) for module, found in weights.factors.items()
        }
        #: By rank, from 1 on: the kept share of all squared singular values.
        self.energies = kept_energy(self._decompositions.values())

    def energy(self, rank: int) -> float:
        """The share of the squared singular values that ``rank`` keeps."""
        return self.energies[min(rank, len(self.energies)) - 1]

    def at(self, rank: int, alpha: float | None = None) -> LoraWeights:
        """The adapter with no module above ``rank``; modules below it stay as they are. With ``alpha`` it has that alpha."""
        config = _config(self._weights.config, self._weights, rank)
        if alpha is not None:
            config["lora_alpha"] = alpha
        smaller = LoraWeights(config, self._weights.factors)
        applied = smaller.applied
        factors = {}
        for module, found in self._weights.factors.items():
            kept = min(rank, len(found.a))
            a, b = self._decompositions[module].factors(kept, applied.scaling_of(module, kept))
            factors[module] = Factors(a.to(found.a.dtype), b.to(found.b.dtype), found.end)
        return LoraWeights(config, factors)


def _config(config: Mapping[str, Any], weights: LoraWeights, rank: int) -> dict[str, Any]:
    applied = weights.applied
    smaller = min(rank, applied.r)
    share = smaller / applied.r
    alpha = applied.lora_alpha * (share**0.5 if applied.use_rslora else share) or 1.0
    ranks = {pattern: min(rank, value) for pattern, value in applied.rank_pattern.items()}
    alpha = int(alpha) if alpha == int(alpha) else alpha
    return {**config, "r": smaller, "lora_alpha": alpha, "rank_pattern": ranks, "alpha_pattern": {}}
