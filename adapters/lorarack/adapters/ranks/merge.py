"""One version out of several, by PEFT's own methods."""

import math
from collections.abc import Sequence

from pydantic import JsonValue

from lorarack.adapters.ranks.derive import fetched, need_packages, publish_derived
from lorarack.registry.artifact.limits import MAX_RANK
from lorarack.registry.errors import Conflict, UsageError
from lorarack.registry.interface import Registry
from lorarack.registry.values import Published, Version

#: Methods that work on A and B themselves, and so need one rank.
SAME_RANK = ("linear", "ties", "dare_linear", "dare_ties", "magnitude_prune")
#: Methods that drop values, and so need to know how many to keep.
SPARSE = tuple(method for name in SAME_RANK[1:] for method in (name, f"{name}_svd"))
METHODS = ("cat", "svd", *SAME_RANK, *(f"{name}_svd" for name in SAME_RANK[1:]))


def merge(
    registry: Registry,
    references: Sequence[str],
    *,
    method: str = "linear",
    weights: Sequence[float] | None = None,
    rank: int | None = None,
    density: float = 0.5,
    seed: int = 0,
    name: str | None = None,
) -> Published:
    """Publish a version merged from several of one base.

    Args:
        registry: where the versions are.
        references: name them, two or more.
        method: one of ``METHODS``, as PEFT's ``add_weighted_adapter`` calls them.
        weights: one for each version; without them equal parts, or 1 each where the method takes means itself (TIES).
        rank: of the merged version, for the methods that end in ``svd``; without it the largest.
        density: the share of values that methods keep that drop some.
        seed: decides what DARE drops.
        name: the adapter to publish to; without it that of the first version.

    Raises:
        BadReference: not a reference.
        NotFound: no such version.
        UsageError: an unknown method, or arguments that do not fit it, each other or what the versions target.
        Conflict: the versions, or the adapter ``name``, belong to different bases.
        InvalidArtifact: a version has more than A and B, or the outcome cannot be kept.
        Damaged: stored bytes changed.
        StoreError: disk or database.
    """
    versions = [registry.resolve(reference) for reference in references]
    parts = _weights(versions, method, weights)
    _check(versions, method, rank, density)
    _check_seed(seed)
    base = registry.base(versions[0].base)
    need_packages()
    with fetched(registry, versions) as folders:
        from lorarack.adapters.ranks.peft_merge import MergePlan, merge_folders

        plan = MergePlan(method, parts, rank, density, seed)
        merged = merge_folders(folders, [version.reference for version in versions], base, plan)
        how: dict[str, JsonValue] = {
            "method": method,
            "weights": list(parts),
            "seed": seed if method.startswith("dare") else None,
        }
        if method in SPARSE:
            how["density"] = density
        published = publish_derived(registry, merged, versions, "merged", how, name)
    if method == "svd" and rank is not None and rank > published.version.rank:
        note = f"Together the versions have rank {published.version.rank}, so the merged one has that and not {rank}."
        return published.model_copy(update={"notes": (*published.notes, note)})
    return published


def _weights(versions: Sequence[Version], method: str, given: Sequence[float] | None) -> tuple[float, ...]:
    if len(versions) < 2:
        raise UsageError("Merging takes two versions or more; for one, see 'lorarack scale' and 'lorarack resize'.")
    if len({version.reference for version in versions}) < len(versions):
        raise UsageError("A version is named twice; name each once, and give it more weight with --weights.")
    if given is None:
        return tuple(1.0 if "ties" in method else 1 / len(versions) for _ in versions)
    if len(given) != len(versions) or not all(math.isfinite(weight) for weight in given) or not any(given):
        raise UsageError(
            f"{len(versions)} versions need {len(versions)} weights that are numbers and not all 0; "
            f"{len(given)} were given. Write them as in --weights 0.7,0.3.",
            code="bad_weights",
        )
    return tuple(float(weight) for weight in given)


def _check_seed(seed: int) -> None:
    if not -(2**63) <= seed < 2**63:
        raise UsageError("The seed is out of range; give a whole number from -2^63 to below 2^63.", code="bad_seed")


def _check(versions: Sequence[Version], method: str, rank: int | None, density: float) -> None:
    first = versions[0]
    other = next((version for version in versions if version.base != first.base), None)
    if other is not None:
        raise Conflict(
            f"{first.reference} belongs to base {first.base!r} and {other.reference} to {other.base!r}; "
            "only adapters of one base can be merged.",
            code="other_base",
        )
    if method not in METHODS:
        raise UsageError(f"{method!r} is no way to merge; the methods are {', '.join(METHODS)}.", code="bad_method")
    ranks = [version.rank for version in versions]
    if method in SAME_RANK and len(set(ranks)) > 1:
        listed = ", ".join(f"{version.reference} has rank {version.rank}" for version in versions)
        raise UsageError(
            f"{listed}, and method {method!r} needs one rank; use 'svd' or 'cat', or resize the larger ones.",
            code="ranks_differ",
        )
    if rank is not None and not method.endswith("svd"):
        raise UsageError(f"Method {method!r} decides the rank itself; --rank is for 'svd' and those that end in it.")
    made = sum(ranks) if method == "cat" else rank if rank is not None else max(ranks)
    if not 1 <= made <= MAX_RANK:
        raise UsageError(f"The merged version would have rank {made}; ranks are 1 to {MAX_RANK}.", code="rank_too_high")
    if method in SPARSE and not 0 < density <= 1:
        raise UsageError(f"A density of {density:g} is no share; give one above 0 and at most 1.", code="bad_density")
