"""The size of the KV cache where the user gives none: on a CPU a share of the free memory.

vLLM takes 92 % of *all* memory on a CPU and refuses to start where that is not free. On a GPU its own default stays.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from lorarack.registry.errors import EngineError
from lorarack.server.memory import Memory

#: One part in eight of the memory that weights and processes leave. The cache is filled with zeros at every start, so a large one
#: costs seconds; an eighth holds more than a CPU computes at a time.
SHARE = 8
GIB = 2**30
_BLOCK_TOKENS = 128  # vLLM's block on a CPU
#: vLLM's processes, measured on Linux: two or three (API server, engine, perhaps a worker) take 0.4 to 0.7 GiB each.
_PROCESSES_BYTES = 2 * GIB
_WORKER_BYTES = 700 * 2**20


@dataclass(frozen=True, slots=True)
class EngineSize:
    """What of a model's configuration decides how much memory its engine needs.

    Attributes:
        weight_bytes: the model's weights.
        token_bytes: keys and values of one token in all layers; None where layers differ (windows, state spaces, MLA).
        max_model_len: tokens of the longest request.
        max_num_seqs: requests at a time.
        workers: processes that share the weights and the cache.
        engines: copies of all that.
    """

    weight_bytes: int
    token_bytes: int | None
    max_model_len: int
    max_num_seqs: int
    workers: int = 1
    engines: int = 1

    @property
    def besides_cache(self) -> int:
        """Bytes that weights and processes take."""
        return self.engines * self.weight_bytes + _PROCESSES_BYTES + (self.workers * self.engines - 1) * _WORKER_BYTES

    def cache_bytes(self, requests: int) -> int | None:
        """What ``requests`` requests of full length need; None where it cannot be computed beforehand."""
        if self.token_bytes is None:
            return None
        blocks = requests * math.ceil(self.max_model_len / _BLOCK_TOKENS) + 1  # vLLM keeps one block empty
        return blocks * _BLOCK_TOKENS * self.token_bytes


def default_cache(size: EngineSize, free: int) -> int:
    """Bytes of the cache, all workers together: a share of what is left, at least one request, at most what can be used.

    Raises:
        EngineError: what is left does not hold one request of full length.
    """
    left = max(0, free - size.besides_cache)
    one, most = size.cache_bytes(1), size.cache_bytes(size.max_num_seqs)
    share = left // SHARE
    if one is not None and most is not None:
        if one * size.engines > left:
            raise EngineError(_too_long(size, one, left), code="no_memory")
        share = min(max(share, one * size.engines), most * size.engines)
    return share


@dataclass(frozen=True, slots=True)
class RequestedMemory:
    """The user's settings about memory.

    Attributes:
        worker_bytes: ``--kv-cache-memory-bytes``.
        share: ``--gpu-memory-utilization``, on a CPU a share of all memory.
        environ: the environment; vLLM still obeys an older variable, in GiB.
    """

    worker_bytes: int | None
    share: float | None
    environ: Mapping[str, str] = field(repr=False)

    @property
    def legacy(self) -> str:
        """The older variable's value, or empty."""
        return self.environ.get("VLLM_CPU_KVCACHE_SPACE", "").strip()


@dataclass(frozen=True, slots=True)
class CacheSize:
    """Bytes of the cache for each worker (None: vLLM works it out from what the user said), and a note for the user."""

    worker_bytes: int | None
    note: str | None = None


def size_cache(size: EngineSize, memory: Memory, requested: RequestedMemory) -> CacheSize:
    """The cache's size: the user's, else the default; checked against free memory.

    Raises:
        EngineError: the machine has too little memory for it.
    """
    workers = size.workers * size.engines
    free = memory.for_workers(workers)
    if requested.worker_bytes is not None:
        check_memory(size, requested.worker_bytes * workers, free)
        return CacheSize(requested.worker_bytes)
    if requested.legacy:
        check_memory(size, int(requested.legacy) * GIB * workers if requested.legacy.isdecimal() else 0, free)
        return CacheSize(None)
    if requested.share is not None:
        check_memory(
            size, max(0, int(requested.share * memory.total) * workers - size.engines * size.weight_bytes), free
        )
        return CacheSize(None)
    cache = default_cache(size, free)
    check_memory(size, cache, free)
    each = f", {gib(cache // workers)} for each of {workers} workers" if workers > 1 else ""
    note = f"KV cache: {gib(cache)} of {gib(free)} free{each}; --kv-cache-memory-bytes to change."
    return CacheSize(cache // workers, note)


def check_memory(size: EngineSize, cache: int, free: int) -> None:
    """Whether ``free`` bytes hold the engine (a CPU's engine takes all its memory from there).

    Raises:
        EngineError: they do not.
    """
    needed = size.besides_cache + cache
    if needed > free:
        weights = size.engines * size.weight_bytes
        processes = size.besides_cache - weights
        raise EngineError(
            f"The engine needs about {gib(needed)} (weights {gib(weights)}, KV cache {gib(cache)}, processes "
            f"{gib(processes)}) and {gib(free)} are free; "
            + ("give a smaller --kv-cache-memory-bytes, or free some memory." if cache else "free some memory."),
            code="no_memory",
        )


def gib(size: int) -> str:
    """A size for people."""
    return f"{size / GIB:.1f} GiB" if size >= GIB else f"{size / 2**20:.0f} MiB"


def _too_long(size: EngineSize, one: int, left: int) -> str:
    fits = left // size.engines // (size.token_bytes or 1) // _BLOCK_TOKENS * _BLOCK_TOKENS - _BLOCK_TOKENS
    way_out = f"give --max-model-len {fits} or less, or free some memory" if fits > 0 else "free some memory"
    return (
        f"One request of {size.max_model_len} tokens, the longest that this model takes, needs {gib(one)} of KV cache, and "
        f"weights and processes leave {gib(left)} of the free memory; {way_out}."
    )
