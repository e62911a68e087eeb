"""Loss on completions: the sum over their tokens, with logits made only where they are needed."""

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from lorarack.adapters.training.encode import NO_LOSS, Encoded, batches

Batch = dict[str, Any]


class Collator:
    """Pads rows on the right to the longest of them.

    There is no attention mask: in a causal model no real token looks at the padding behind it.
    """

    def __init__(self, pad: int) -> None:
        self._pad = pad

    def __call__(self, features: Sequence[dict[str, list[int]]]) -> Batch:
        """Tensors ``input_ids`` and ``labels``, both (rows, longest)."""
        longest = max(len(row["input_ids"]) for row in features)
        fill = {"input_ids": self._pad, "labels": NO_LOSS}
        return {
            key: torch.tensor([row[key] + [value] * (longest - len(row[key])) for row in features])
            for key, value in fill.items()
        }


def completion_loss(model: Any, batch: Batch) -> tuple[Any, int]:
    """Sum of the cross entropies of all completion tokens in ``batch``, and how many they are."""
    targets = batch["labels"][:, 1:]
    columns = (targets != NO_LOSS).any(dim=0).nonzero().squeeze(-1)
    targets = targets[:, columns]
    if _keeps_logits(model):
        logits = model(input_ids=batch["input_ids"], use_cache=False, logits_to_keep=columns).logits
    else:
        logits = model(input_ids=batch["input_ids"], use_cache=False).logits[:, columns]
    wanted = targets != NO_LOSS
    return cross_entropy(logits[wanted].float(), targets[wanted], reduction="sum"), int(wanted.sum())


def mean_loss(model: Any, rows: list[Encoded], pad: int, batch_size: int) -> float:
    """Mean cross entropy of a completion token over ``rows``, every token counting the same, in evaluation mode."""
    collate = Collator(pad)
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    total, tokens = 0.0, 0
    try:
        with torch.no_grad():
            for group in batches(rows, batch_size):
                batch = {key: value.to(device) for key, value in collate([row.features() for row in group]).items()}
                loss, count = completion_loss(model, batch)
                total += float(loss)
                tokens += count
    finally:
        model.train(was_training)
    return total / tokens


def _keeps_logits(model: Any) -> bool:
    """Whether the causal model below PEFT can leave out logits that nobody asks for."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    return "logits_to_keep" in inspect.signature(inner.forward).parameters
