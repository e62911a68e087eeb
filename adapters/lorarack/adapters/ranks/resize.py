"""A version at a lower rank."""

from pathlib import Path

from lorarack.adapters.ranks.derive import fetched, need_packages, publish_derived
from lorarack.registry.errors import UsageError
from lorarack.registry.interface import Registry
from lorarack.registry.values import Published, Version


def resize(
    registry: Registry, reference: str, *, rank: int | None = None, energy: float | None = None, name: str | None = None
) -> Published:
    """Publish the best approximation of a version at a lower rank: of each module's product the largest singular values.

    Args:
        registry: where the version is.
        reference: names it.
        rank: the new rank; or
        energy: the share of the squared singular values of all modules together to keep, by the smallest rank that does.
        name: the adapter to publish to; without it the version's own.

    Raises:
        BadReference: ``reference`` is not a reference.
        NotFound: no such version.
        UsageError: neither or both of ``rank`` and ``energy``, or one that is out of range.
        InvalidArtifact: the version has more than A and B, as DoRA has.
        Conflict: the adapter ``name`` belongs to another base.
        Damaged: stored bytes changed.
        StoreError: disk or database.
    """
    if (rank is None) == (energy is None):
        raise UsageError("Give either --rank or --energy.")
    if energy is not None and not 0 < energy <= 1:
        raise UsageError(f"An energy of {energy:g} is no share; give one above 0 and at most 1, such as 0.99.")
    version = registry.resolve(reference)
    if rank is not None:
        _check_rank(version, rank)
    need_packages()
    with fetched(registry, [version]) as (folder,):
        from lorarack.adapters.ranks.truncate import Truncation
        from lorarack.adapters.ranks.truncation import rank_for_energy
        from lorarack.adapters.ranks.weights import read_weights, write_weights

        truncation = Truncation(read_weights(folder, version.reference))
        chosen = rank if rank is not None else rank_for_energy(truncation.energies, energy or 1.0)
        if chosen >= version.rank:
            raise UsageError(
                f"{version.reference} needs its whole rank {version.rank} to keep {energy:g} of its energy; give less, or --rank.",
                code="rank_too_high",
            )
        smaller = Path(folder.parent) / "resized"
        write_weights(truncation.at(chosen), smaller)
        how = {"rank": chosen, "kept_energy": round(truncation.energy(chosen), 6)}
        return publish_derived(registry, smaller, [version], "resized", how, name)


def _check_rank(version: Version, rank: int) -> None:
    if rank < 1:
        raise UsageError(f"A rank of {rank} is none; ranks begin at 1.", code="bad_rank")
    if rank >= version.rank:
        raise UsageError(
            f"{version.reference} has rank {version.rank}, and resize makes lower ranks: give a --rank below {version.rank}.",
            code="rank_too_high",
        )
