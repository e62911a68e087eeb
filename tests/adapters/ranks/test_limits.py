"""Settings of merging and scaling that nothing comes of, or not what was asked for."""

import pytest

from lorarack.registry import Registry
from lorarack.registry.errors import InvalidArtifact, UsageError

pytestmark = pytest.mark.torch
BOTH = ["support@1", "support@2"]


@pytest.mark.parametrize("seed", [99999999999999999999999, 2**63, -(2**63) - 1, 10**400])
def test_a_seed_out_of_range(registry: Registry, seed: int) -> None:
    from lorarack.adapters.ranks.merge import merge

    with pytest.raises(UsageError, match="The seed is out of range; give a whole number"):
        merge(registry, BOTH, method="dare_linear", seed=seed)


def test_the_largest_seed(registry: Registry) -> None:
    from lorarack.adapters.ranks.merge import merge

    made = merge(registry, BOTH, method="dare_linear", seed=2**63 - 1, name="merged").version
    assert made.provenance is not None
    assert merge(registry, BOTH, method="dare_linear", seed=-(2**63), name="merged").created


def test_a_rank_that_the_versions_do_not_have_together(registry: Registry) -> None:
    """What is published has their sum, and that is said; where the rank is what was asked for, nothing is."""
    from lorarack.adapters.ranks.merge import merge

    made = merge(registry, BOTH, method="svd", rank=100, name="merged")
    assert made.version.rank == 16
    assert "Together the versions have rank 16, so the merged one has that and not 100." in made.notes
    assert not merge(registry, BOTH, method="svd", rank=12, name="merged").notes


@pytest.mark.parametrize("method", ["ties_svd", "dare_linear_svd", "magnitude_prune_svd"])
def test_a_rank_that_no_module_has(registry: Registry, method: str) -> None:
    """One sentence, and the rank that it names can be had."""
    from lorarack.adapters.ranks.merge import merge

    with pytest.raises(UsageError, match=r"cannot have rank 100: module '.*' of base 'tiny' has rank 8 at most") as it:
        merge(registry, BOTH, method=method, rank=100)
    assert "\n" not in it.value.message
    assert merge(registry, BOTH, method=method, rank=8, name="merged").version.rank == 8


@pytest.mark.parametrize("by", [1e30, -1e300, 1e308])
def test_a_factor_out_of_range(registry: Registry, by: float) -> None:
    """In terms of the factor, and without the folder that is gone."""
    from lorarack.adapters.ranks.scale import scale

    with pytest.raises(InvalidArtifact, match="no engine would serve the outcome; give a smaller factor") as caught:
        scale(registry, "support@1", by)
    assert "diverged" not in caught.value.message
    assert "lorarack-ranks" not in caught.value.message
