"""Loss on completions: the sum over their tokens, with logits made only where they are needed."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy

from lorarack.adapters.training.encode import NO_LOSS, Encoded
from lorarack.adapters.training.row_losses import RowLosses

Batch = dict[str, Any]

#: Rows up to so many tokens are short for an attention on a CPU.
_SHORT = 128


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
    """The cross entropies of the completion tokens, row after row, and where they are: a mask (rows, tokens - 1)."""
    targets = batch["labels"][:, 1:]
    wanted = targets != NO_LOSS
    given = {key: batch[key] for key in ("input_ids", "position_ids") if key in batch}
    inner = getattr(model, "module", model)  # what several processes wrap around it
    inner = inner.get_base_model() if hasattr(inner, "get_base_model") else inner
    with _logits_of(inner, wanted) as asked, _attention(inner, wanted):
        logits = model(**given, use_cache=False).logits
    logits = logits[0] if asked else logits[:, :-1][wanted]
    return cross_entropy(logits.float(), targets[wanted], reduction=reduction), wanted


@contextmanager
def _logits_of(model: Any, wanted: Any) -> Iterator[list[bool]]:
    """Inside, the model makes logits of the ``wanted`` tokens alone, (1, wanted tokens, vocabulary).

    The list that it gives stays empty where the model's head was not asked so; then the logits are all of them.
    """
    head = model.get_output_embeddings()
    asked: list[bool] = []

    def select(_: Any, arguments: tuple[Any, ...]) -> Any:
        (hidden,) = arguments
        if hidden.shape[:2] != (wanted.shape[0], wanted.shape[1] + 1):
            return None
        asked.append(True)
        return (hidden[:, :-1][wanted].unsqueeze(0),)

    hook = head.register_forward_pre_hook(select) if head is not None else None
    try:
        yield asked
    finally:
        if hook is not None:
            hook.remove()


def _attention(model: Any, wanted: Any) -> AbstractContextManager[Any]:
    """Which of torch's attentions computes: on a CPU short rows go backward twice as fast through plain products as through flash.

    With gradient checkpointing the choice would be over when activations are computed again.
    """
    short = wanted.device.type == "cpu" and wanted.shape[1] < _SHORT
    if short and torch.is_grad_enabled() and not getattr(model, "is_gradient_checkpointing", False):
        return sdpa_kernel(SDPBackend.MATH)
    return nullcontext()


def _by_length(rows: Sequence[Encoded], size: int) -> Iterator[list[int]]:
    """Places of rows, longest first, in groups of ``size``: little padding, and memory trouble shows at once."""
    ordered = sorted(range(len(rows)), key=lambda place: len(rows[place]), reverse=True)
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]
