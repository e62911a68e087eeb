"""Truncation is the dense singular value decomposition's, without the dense matrix; growth changes nothing."""

from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

OUT, IN, RANK = 96, 64, 16


def factors(dtype: Any, out: int = OUT, width: int = IN, rank: int = RANK) -> tuple[Any, Any]:
    generator = torch.Generator().manual_seed(3)
    falling = 0.7 ** torch.arange(rank, dtype=torch.float64)  # as trained adapters have
    a = torch.randn(rank, width, generator=generator, dtype=torch.float64) * falling[:, None]
    return a.to(dtype), torch.randn(out, rank, generator=generator, dtype=torch.float64).to(dtype)


def dense(a: Any, b: Any, scaling: float, rank: int) -> Any:
    left, values, right = torch.linalg.svd(scaling * b.double() @ a.double())
    return left[:, :rank] * values[:rank] @ right[:rank]


@pytest.mark.parametrize(("dtype", "within"), [(torch.float32, 1e-4), (torch.float64, 1e-10), (torch.bfloat16, 1e-2)])
@pytest.mark.parametrize("scaling", [2.0, 0.25, -0.5])
def test_every_rank_is_the_dense_decompositions(dtype: Any, within: float, scaling: float) -> None:
    from lorarack.adapters.ranks.truncation import decompose

    a, b = factors(dtype)
    found = decompose(a, b, scaling)
    for rank in range(1, RANK + 1):
        low_a, low_b = found.factors(rank, scaling)
        wanted = dense(a, b, scaling, rank)
        assert (low_a.shape, low_b.shape) == ((rank, IN), (OUT, rank))
        assert torch.linalg.norm(scaling * low_b.double() @ low_a.double() - wanted) <= within * torch.linalg.norm(
            wanted
        )


@pytest.mark.parametrize(("out", "width"), [(4, 64), (64, 4)])
def test_a_weight_smaller_than_the_rank_is_whole(out: int, width: int) -> None:
    """Its decomposition has fewer values than the rank; the rest of the factors is zero, as PEFT needs the shape."""
    from lorarack.adapters.ranks.truncation import decompose

    a, b = factors(torch.float64, out, width)
    low_a, low_b = decompose(a, b, 1.0).factors(8, 1.0)
    assert (low_a.shape, low_b.shape) == ((8, width), (out, 8))
    assert torch.allclose(low_b @ low_a, b @ a)


def test_energy_counts_all_modules_together() -> None:
    from lorarack.adapters.ranks.truncation import Decomposition, kept_energy, rank_for_energy

    def of(*values: float) -> Decomposition:
        return Decomposition(None, torch.tensor(values), None)

    energies = kept_energy([of(3.0, 1.0), of(2.0, 1.0, 1.0)])
    assert energies == pytest.approx((13 / 16, 15 / 16, 1.0))
    assert [rank_for_energy(energies, share) for share in (0.5, 0.9, 0.99, 1.0)] == [1, 2, 3, 3]


@pytest.mark.parametrize("ratio", [1.0, 0.5])
def test_growth_is_the_same_function(ratio: float) -> None:
    from lorarack.adapters.ranks.growth import grow

    a, b = factors(torch.float64)
    more_a, more_b = grow(a, b, 24, ratio, torch.Generator().manual_seed(0))
    assert torch.allclose(ratio * more_b @ more_a, b @ a)
    assert more_a[RANK:].abs().min() > 0
    assert not more_b[:, RANK:].any()
    with pytest.raises(ValueError, match="lower"):
        grow(a, b, 8, 1.0, torch.Generator())
