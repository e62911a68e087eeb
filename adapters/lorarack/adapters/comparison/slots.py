"""What a version takes of a server's memory: an engine slot, and how many of those fit.

vLLM gives each adapter that can be in a batch a slot of one size: for every layer that is adapted, room for two matrices of the
slot's rank. So a version of rank 9 takes as much as one of rank 16.
"""

import re

from lorarack.registry import Base, Version
from lorarack.registry.errors import UsageError

#: The ranks that a slot can have (``vllm.config.lora.MaxLoRARanks``).
SLOT_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
#: Bytes of a number: engines compute in half precision unless they are told otherwise.
_HALF = 2
#: With one of a block's usual layers adapted, a slot holds all of them.
_USUAL = frozenset({"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"})
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([KMGT])(i?)B?|B)?", re.IGNORECASE)
_MOST = 1e18  # of whatever unit; more digits than that are a mistake
_POWERS = {"K": 1, "M": 2, "G": 3, "T": 4}


def slot_bytes(version: Version, base: Base) -> int | None:
    """Bytes of the smallest slot that holds the version, in half precision; None where its rank is above every slot's."""
    rank = next((rank for rank in SLOT_RANKS if rank >= version.rank), None)
    if rank is None:
        return None
    adapted = {target.rpartition(".")[2] for target in version.target_modules}
    adapted |= _USUAL if adapted & _USUAL else set()
    sizes = (size for name, size in base.modules.items() if name.rpartition(".")[2] in adapted)
    return sum(rank * (outputs + inputs) * _HALF for outputs, inputs in sizes)


def memory_bytes(text: str) -> int:
    """Bytes of ``16GiB``, ``512MB``, ``8G`` (powers of 1024, as ``GiB``) or a plain number.

    Raises:
        UsageError: it is none of these, or 0.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None or not 0 < float(found[1]) < _MOST:
        raise UsageError(f"{text!r} is no amount of memory; write for example 16GiB.", code="bad_memory")
    number, unit, binary = float(found[1]), (found[2] or "").upper(), found[3]
    decimal = unit and not binary and text.strip().upper().endswith("B")
    return int(number * (1000 if decimal else 1024) ** _POWERS.get(unit, 0))
