"""Truncation of one adapter to five ranks, beside PEFT's own way: a dense decomposition of each module for each rank.

SmolLM2-135M's shapes, 30 layers of 7 modules. PEFT's side is timed on one layer for one rank and multiplied, since all layers
have the same shapes; ours is timed whole.
"""

import time
from collections.abc import Callable
from typing import Any

from benchmarks.report import Row, seconds

LAYERS, RANK, RANKS = 30, 64, (32, 16, 8, 4, 2)
SHAPES = {
    "self_attn.q_proj": (576, 576), "self_attn.k_proj": (192, 576), "self_attn.v_proj": (192, 576),
    "self_attn.o_proj": (576, 576), "mlp.gate_proj": (1536, 576), "mlp.up_proj": (1536, 576), "mlp.down_proj": (576, 1536),
}  # fmt: skip
GOAL = 100.0
WITHIN = 1e-4


def truncating(layers: int = LAYERS, rank: int = RANK, shapes: dict[str, tuple[int, int]] = SHAPES) -> list[Row]:
    """The row, measured."""
    from lorarack.adapters.ranks.truncate import Truncation
    from lorarack.adapters.silence_libraries import silence_libraries

    ranks = tuple(low for low in RANKS if low < rank)
    weights = _adapter(layers, rank, shapes)

    def ours() -> list[Any]:
        truncation = Truncation(weights)
        return [truncation.at(low) for low in ranks]

    with silence_libraries():
        layer = _peft_layer(weights, shapes)
        ours(), _convert(layer, ranks[0])  # both warm
        mine, made = _median(ours)
        theirs, converted = _median(lambda: _convert(layer, ranks[0]))
        theirs *= layers * len(ranks)
        difference = _difference(made[0], converted, shapes)
    ratio = theirs / mine
    note = f"PEFT's convert_to_lora on one layer for one rank, times {layers} × {len(ranks)}; products differ by {difference:.1e}"
    what = f"truncate rank {rank} to {len(ranks)} ranks, {layers * len(shapes)} modules"
    met = ratio >= GOAL and difference <= WITHIN
    return [
        Row(
            what,
            seconds(mine),
            seconds(theirs),
            ratio,
            f"PEFT / ours ≥ {GOAL:g}, same product to {WITHIN:g}",
            met,
            note,
        )
    ]


def _adapter(layers: int, rank: int, shapes: dict[str, tuple[int, int]]) -> Any:
    import torch

    from lorarack.adapters.ranks.weights import Factors, LoraWeights

    generator = torch.Generator().manual_seed(0)
    falling = 0.9 ** torch.arange(rank)  # as of trained adapters
    factors = {
        f"layers.{layer}.{name}": Factors(
            torch.randn(rank, width, generator=generator) * falling[:, None] / width**0.5,
            torch.randn(out, rank, generator=generator) / 8,
        )
        for layer in range(layers)
        for name, (out, width) in shapes.items()
    }
    names = sorted({name.rpartition(".")[2] for name in shapes})
    return LoraWeights({"r": rank, "lora_alpha": 2 * rank, "target_modules": names, "peft_type": "LORA"}, factors)


def _peft_layer(weights: Any, shapes: dict[str, tuple[int, int]]) -> Any:
    """The first layer as a PEFT model."""
    import torch
    from peft import LoraConfig, PeftModel, set_peft_model_state_dict

    from lorarack.adapters.ranks.weights import tensors_of

    layer = torch.nn.Module()
    for name, (out, width) in shapes.items():
        inner = layer
        for part in ("layers", "0", *name.split(".")[:-1]):
            if not hasattr(inner, part):
                inner.add_module(part, torch.nn.Module())
            inner = getattr(inner, part)
        inner.add_module(name.rpartition(".")[2], torch.nn.Linear(width, out, bias=False))
    config = weights.config
    model = PeftModel(
        layer, LoraConfig(r=config["r"], lora_alpha=config["lora_alpha"], target_modules=config["target_modules"])
    )
    first = {name: found for name, found in weights.factors.items() if name.startswith("layers.0.")}
    set_peft_model_state_dict(model, tensors_of(first))
    return model


def _convert(model: Any, rank: int) -> Any:
    import warnings

    from peft import convert_to_lora

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return convert_to_lora(model, rank=rank)[1]


def _difference(ours: Any, theirs: Any, shapes: dict[str, tuple[int, int]]) -> float:
    """The largest relative difference of a module's product."""
    import torch

    worst = 0.0
    for name in shapes:
        found, scaling = ours.factors[f"layers.0.{name}"], ours.scalings()[f"layers.0.{name}"]
        a, b = (theirs[f"base_model.model.layers.0.{name}.lora_{side}.weight"] for side in "AB")
        wanted = b @ a
        worst = max(worst, float(torch.linalg.norm(scaling * found.b @ found.a - wanted) / torch.linalg.norm(wanted)))
    return worst


def _median(work: Callable[[], Any], times: int = 3) -> tuple[float, Any]:
    taken, made = [], None
    for _ in range(times):
        started = time.perf_counter()
        made = work()
        taken.append(time.perf_counter() - started)
    return sorted(taken)[times // 2], made
