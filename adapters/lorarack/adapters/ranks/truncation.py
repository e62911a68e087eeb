"""Every lower rank of a LoRA product from one factorisation.

The best approximation of ``B·A`` at a lower rank keeps its largest singular values (Eckart and Young, 1936). The product is
never made: with ``B = Qb·Rb`` and ``Aᵀ = Qa·Ra`` its decomposition is that of the small ``Rb·Raᵀ``, rank by rank.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True, slots=True)
class Decomposition:
    """The singular value decomposition ``left · diag(values) · right`` of what an adapter adds to one weight.

    ``left`` is (out, m), ``values`` (m), largest first, ``right`` (m, in); ``m`` is the rank, or less on a smaller weight.
    """

    left: Any
    values: Any
    right: Any

    def factors(self, rank: int, scaling: float) -> tuple[Any, Any]:
        """A (rank, in) and B (out, rank) whose ``scaling · B · A`` is the best approximation of that rank.

        Both carry the square root of the singular values, so neither has much larger numbers than the other. Rows beyond the
        decomposition's own rank are zero.
        """
        kept = min(rank, len(self.values))
        root = (self.values[:kept] / abs(scaling)).sqrt()
        a = self.right.new_zeros(rank, self.right.shape[1])
        b = self.left.new_zeros(self.left.shape[0], rank)
        a[:kept] = self.right[:kept] * root[:, None]
        b[:, :kept] = self.left[:, :kept] * root * (1.0 if scaling > 0 else -1.0)
        return a, b


def decompose(a: Any, b: Any, scaling: float) -> Decomposition:
    """The decomposition of ``scaling · b · a``, with ``a`` (rank, in) and ``b`` (out, rank), in float32 or the wider type given."""
    dtype = torch.promote_types(a.dtype, torch.float32)
    q_right, r_right = torch.linalg.qr(a.to(dtype).T)
    q_left, r_left = torch.linalg.qr(b.to(dtype))
    left, values, right = torch.linalg.svd(scaling * (r_left @ r_right.T), full_matrices=False)
    return Decomposition(q_left @ left, values, right @ q_right.T)


def kept_energy(decompositions: Iterable[Decomposition]) -> tuple[float, ...]:
    """By rank, from 1 on: the share of the squared singular values of all modules together that is kept; the last is 1."""
    squares = [decomposition.values.double().square().cpu() for decomposition in decompositions]
    total = torch.zeros(max(len(values) for values in squares), dtype=torch.float64)
    for values in squares:
        total[: len(values)] += values
    sums = total.cumsum(0)
    return tuple(float(part / sums[-1]) for part in sums)


def rank_for_energy(energies: Sequence[float], share: float) -> int:
    """The smallest rank that keeps at least ``share`` of the energy."""
    return next((rank for rank, kept in enumerate(energies, start=1) if kept >= share), len(energies))
