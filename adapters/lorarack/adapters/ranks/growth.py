"""The same function at a higher rank, with room to learn more."""

import math
from typing import Any

import torch


def grow(a: Any, b: Any, rank: int, ratio: float, generator: torch.Generator) -> tuple[Any, Any]:
    """A (rank, in) and B (out, rank) with the product of ``a`` and ``b``.

    New rows of A are random, as in a fresh adapter, and new columns of B are zero.

    Args:
        a: (lower rank, in).
        b: (out, lower rank).
        rank: the higher rank.
        ratio: the new scaling divided by the old one, which B makes up for.
        generator: where the random numbers come from.

    Raises:
        ValueError: ``rank`` is lower than the rank of ``a``.
    """
    more = rank - a.shape[0]
    if more < 0:
        raise ValueError(f"rank {rank} is lower than {a.shape[0]}")
    bound = 1 / math.sqrt(a.shape[1])  # as PEFT begins an A
    fresh = torch.empty(more, a.shape[1], dtype=a.dtype).uniform_(-bound, bound, generator=generator)
    return torch.cat([a, fresh.to(a.device)]), torch.cat([b / ratio, b.new_zeros(b.shape[0], more)], dim=1)
