"""Loss on completions: the sum over their tokens, with logits made only where they are needed."""

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from lorarack.adapters.training.encode import NO_LOSS, Encoded
from lorarack.adapters.training.row_losses import RowLosses

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


class PackedCollator:
    """The rows of a batch one behind the other in one sequence without padding.

    ``position_ids`` begin anew with each row; transformers' models keep rows apart by them. The first token of a row has no loss:
    what stands before it is of another row.
    """

    def __call__(self, features: Sequence[dict[str, list[int]]]) -> Batch:
        """Tensors ``input_ids``, ``labels`` and ``position_ids``, all (1, all tokens)."""
        joined: dict[str, list[int]] = {"input_ids": [], "labels": [], "position_ids": []}
        for row in features:
            joined["input_ids"] += row["input_ids"]
            joined["labels"] += [NO_LOSS, *row["labels"][1:]]
            joined["position_ids"] += range(len(row["input_ids"]))
        return {key: torch.tensor([values]) for key, values in joined.items()}


def completion_loss(model: Any, batch: Batch) -> tuple[Any, int]:
    """Sum of the cross entropies of all completion tokens in ``batch``, and how many they are."""
    losses, _ = _token_losses(model, batch, "sum")
    return losses, int((batch["labels"][:, 1:] != NO_LOSS).sum())


def row_losses(model: Any, rows: Sequence[Encoded], pad: int, batch_size: int) -> RowLosses:
    """The losses of ``rows``, in their order, in evaluation mode."""
    collate = Collator(pad)
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    sums, tokens = [0.0] * len(rows), [0] * len(rows)
    try:
        with torch.no_grad():
            for places in _by_length(rows, batch_size):
                features = collate([rows[place].features() for place in places])
                batch = {key: value.to(device) for key, value in features.items()}
                losses, wanted = _token_losses(model, batch, "none")
                totals = torch.zeros(wanted.shape, dtype=losses.dtype, device=device).masked_scatter(wanted, losses)
                for place, total, count in zip(
                    places, totals.double().sum(1).tolist(), wanted.sum(1).tolist(), strict=True
                ):
                    sums[place], tokens[place] = total, count
    finally:
        model.train(was_training)
    return RowLosses(tuple(sums), tuple(tokens))


def mean_loss(model: Any, rows: Sequence[Encoded], pad: int, batch_size: int) -> float:
    """Mean cross entropy of a completion token over ``rows``, every token counting the same, in evaluation mode."""
    return row_losses(model, rows, pad, batch_size).mean


def _token_losses(model: Any, batch: Batch, reduction: str) -> tuple[Any, Any]:
    """The cross entropies of the completion tokens, row after row, and where they are: a mask (rows, some columns)."""
    targets = batch["labels"][:, 1:]
    columns = (targets != NO_LOSS).any(dim=0).nonzero().squeeze(-1)
    targets = targets[:, columns]
    given = {key: batch[key] for key in ("input_ids", "position_ids") if key in batch}
    if _keeps_logits(model):
        logits = model(**given, use_cache=False, logits_to_keep=columns).logits
    else:
        logits = model(**given, use_cache=False).logits[:, columns]
    wanted = targets != NO_LOSS
    return cross_entropy(logits[wanted].float(), targets[wanted], reduction=reduction), wanted


def _by_length(rows: Sequence[Encoded], size: int) -> Iterator[list[int]]:
    """Places of rows, longest first, in groups of ``size``: little padding, and memory trouble shows at once."""
    ordered = sorted(range(len(rows)), key=lambda place: len(rows[place]), reverse=True)
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]


def _keeps_logits(model: Any) -> bool:
    """Whether the causal model below PEFT can leave out logits that nobody asks for."""
    model = getattr(model, "module", model)  # what several processes wrap around it
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    return "logits_to_keep" in inspect.signature(inner.forward).parameters
