"""How large an adapter's numbers may be. What is larger overflows in an engine, or drowns the base: no training ends there.

The base's own weights are not read for this: they may be remote, quantised or many gigabytes. Trained base weights have a
root mean square of 0.01 to 0.2, so the bound on a delta weight lies a factor of fifty and more above the base's norm.
"""

import os
from collections.abc import Mapping
from io import FileIO

from lorarack.registry.artifact.deltas import Deltas, norm
from lorarack.registry.artifact.limits import MAX_DELTA_RMS, MAX_NUMBER, MAX_SCALING
from lorarack.registry.artifact.manifest import CONFIG
from lorarack.registry.artifact.patterns import TimeBudget
from lorarack.registry.artifact.peft_config import PeftConfig
from lorarack.registry.artifact.tensors import Pair
from lorarack.registry.artifact.texts import listed


def magnitude_problems(
    weights: FileIO, config: PeftConfig, pairs: Mapping[str, Pair], largest: Mapping[str, float]
) -> list[str]:
    """What is too large in an adapter whose numbers are finite.

    Args:
        weights: the weight file.
        config: how the weights are applied.
        pairs: the tensors by module.
        largest: the largest magnitude in each tensor, by name.
    """
    budget = TimeBudget()
    scaled, overflowing, suspects = [], [], []
    for module, pair in pairs.items():
        if pair.a is None or pair.b is None:
            continue
        rank = pair.a.shape[0]
        try:
            budget.check()
            scaling = abs(config.scaling_of(module, rank, budget))
        except (ValueError, ArithmeticError) as error:
            return [f"{CONFIG}: {error}"]
        of_a, of_b = largest[pair.a.name], largest[pair.b.name]
        if scaling > MAX_SCALING:
            scaled.append(module)
        elif max(of_a, of_b, of_b * scaling) > MAX_NUMBER:
            overflowing.append(module)
        elif rank * scaling * of_a * of_b > MAX_DELTA_RMS:  # no element of the delta weight is larger than that
            suspects.append(module)
    problems = []
    if scaled:
        rule = "lora_alpha / sqrt(rank)" if config.use_rslora else "lora_alpha / rank"
        problems.append(
            f"{listed(scaled)} is scaled by more than {MAX_SCALING:.0f} ({rule}); set lora_alpha or alpha_pattern to what it "
            "was trained with"
        )
    if overflowing:
        problems.append(
            f"{listed(overflowing)} has weights over {MAX_NUMBER:.0f}, which overflow float16; the training diverged"
        )
    if drowning := _drowning(weights, config, suspects):
        problems.append(
            f"{listed(drowning)} changes the base by more than any base's own weights (root mean square over "
            f"{MAX_DELTA_RMS:.0f}); the training diverged, or lora_alpha is wrong"
        )
    return problems


def _drowning(weights: FileIO, config: PeftConfig, modules: list[str]) -> list[str]:
    if not modules:
        return []
    with os.fdopen(os.dup(weights.fileno()), "rb") as file:
        file.seek(0)
        deltas = Deltas(file, os.fstat(file.fileno()).st_size, config)
        found = []
        for module in modules:
            factors = deltas.factors(module)
            if factors is not None:
                out, width = factors.shape
                if not norm(factors) <= MAX_DELTA_RMS * (out * width) ** 0.5:
                    found.append(module)
        return found
