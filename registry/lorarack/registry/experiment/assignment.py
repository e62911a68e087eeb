"""Which arm of an experiment a caller gets: sticky across processes and restarts, without a table."""

import math
from collections.abc import Mapping
from hashlib import blake2b

_HASH_BYTES = 8
_HASHES = 2 ** (8 * _HASH_BYTES)


def assign_arm(salt: str, caller: str, weights: Mapping[str, float]) -> str:
    """The arm of ``caller``, by weighted rendezvous hashing: each arm bids, the highest bid wins.

    An arm's share of all callers is its share of the weights. When one arm's weight is raised, callers move into that arm and
    nowhere else; when it is lowered, they move out of that arm and nowhere else. Another salt assigns all callers anew.

    The bid ``-weight / ln(u)``, u uniform in (0, 1), is that of Schindelhauer and Schomaker, "Weighted distributed hash tables"
    (SPAA 2005).

    Args:
        salt: fixed for the life of an experiment.
        caller: what identifies the caller, for example the ``user`` of a request.
        weights: arm -> weight, not negative, at least one above 0; need not add up to anything.
    """
    return max(weights, key=lambda arm: _bid(salt, caller, arm, weights[arm]))


def _bid(salt: str, caller: str, arm: str, weight: float) -> float:
    # Lengths in front, so that no two triples run together into the same text.
    text = f"{len(salt)}:{salt}{len(caller)}:{caller}{arm}".encode("utf-8", "surrogatepass")
    number = int.from_bytes(blake2b(text, digest_size=_HASH_BYTES).digest(), "big")
    return -weight / math.log((number + 0.5) / _HASHES)
