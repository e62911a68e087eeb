"""Whether a base keeps rows apart that are packed into one sequence: tried, since it depends on its attention."""

from collections.abc import Sequence
from typing import Any

import torch

from lorarack.adapters.training.encode import Encoded
from lorarack.adapters.training.loss import Collator, PackedCollator, completion_loss
from lorarack.registry.errors import UsageError

#: Two ways to compute the same sum in bfloat16 differ by less; rows that see each other differ by more.
_TOLERANCE = 0.02


def check_packing(model: Any, rows: Sequence[Encoded], pad: int) -> None:
    """Compare the loss of a few rows packed and apart.

    Raises:
        UsageError: they differ, so packed rows would see each other.
    """
    device = next(model.parameters()).device
    features = [row.features() for row in rows[:4]]
    losses = []
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            for collate in (Collator(pad), PackedCollator()):
                batch = {key: value.to(device) for key, value in collate(features).items()}
                losses.append(float(completion_loss(model, batch)[0]))
    finally:
        model.train(was_training)
    if abs(losses[0] - losses[1]) > _TOLERANCE * abs(losses[0]):
        raise UsageError(
            "This base's attention lets rows that are packed into one sequence see each other; leave out 'packing', or choose "
            "another 'attention'.",
            code="no_packing",
        )
