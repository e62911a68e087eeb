"""Defaults of `lorarack serve`. Any vLLM flag on the command line or in its config file wins."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from lorarack.registry import State, Version
from lorarack.server.limits import rank_bucket
from lorarack.server.settings import CpuLora

LOOPBACK = "127.0.0.1"
PORT = 8000

_SLOTS = 8
_HOST_COPIES = 64
_SMALLEST_RANK = 16
_FEW_CORES = 4
_USUAL = frozenset({"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"})
_SECONDS_TO_DRAIN = 20
#: For glibc's allocator: what a step frees stays with the process, in large pages. As it comes, each layer of a long prompt gives
#: megabytes back to the kernel and gets them again as zeroed pages of 4 KiB; others advise to preload another allocator.
KEEP_MEMORY = "glibc.malloc.mmap_threshold=1073741824:glibc.malloc.trim_threshold=4294967296:glibc.malloc.hugetlb=1"


@dataclass(frozen=True, slots=True)
class Default:
    """One setting with the reason for it; ``flag`` is the name of vLLM's flag."""

    flag: str
    value: object
    reason: str

    @property
    def key(self) -> str:
        """As vLLM's parser calls it."""
        return self.flag.removeprefix("--").replace("-", "_")


def engine_defaults(
    fingerprint: str,
    versions: Iterable[Version],
    originals: Collection[str] = (),
    *,
    cpu: bool = False,
    wanted: Collection[str] | None = None,
) -> tuple[Default, ...]:
    """The defaults for a server of the base with ``fingerprint`` (a copy of ``originals``) over a registry of ``versions``.

    ``wanted`` are the references that the slots' rank follows; None: all.
    """
    fitting = {fingerprint, *originals}
    ready = [v for v in versions if v.base_fingerprint in fitting and v.state is State.READY]
    asked = [v for v in ready if wanted is None or v.reference in wanted]
    largest = rank_bucket(max([_SMALLEST_RANK, *(v.rank for v in asked)]))
    refused = sum(v.rank > largest for v in ready)
    always = (
        Default("--enable-lora", True, "adapters are what this server is for"),
        Default("--max-loras", _SLOTS, "that many adapters can be in one batch; vLLM's own default is 1"),
        Default(
            "--max-cpu-loras", _HOST_COPIES, "that many stay in host memory; vLLM would read the disk at every switch"
        ),
        Default(
            "--shutdown-timeout", _SECONDS_TO_DRAIN, "seconds that requests under way have to finish when it is stopped"
        ),
        Default("--max-lora-rank", largest, _why_rank(asked, refused)),
    )
    modules = _modules(ready)
    if not cpu or not modules:
        return always
    why = (
        "what the ready versions of this base adapt; on a CPU every layer that could be adapted costs time at each step"
    )
    return (*always, Default("--lora-target-modules", sorted(modules), why))


def _why_rank(asked: Iterable[Version], refused: int) -> str:
    top = max(asked, key=lambda version: version.rank, default=None)
    of = f" ({top.reference} has rank {top.rank})" if top and top.rank > _SMALLEST_RANK else ""
    rest = (
        f"; {refused} ready versions of higher rank are refused" if refused > 1 else "; one of higher rank is refused"
    )
    return f"what aliases, pins and recent use ask for{of}, at least {_SMALLEST_RANK}" + (rest if refused else "")


def _modules(ready: Iterable[Version]) -> frozenset[str]:
    """The last names of what ``ready`` versions adapt; with one of a block's usual layers all of them, for what comes later."""
    names = frozenset(target.rpartition(".")[2] for version in ready for target in version.target_modules)
    return names | _USUAL if names & _USUAL else names


def environment_defaults(cores: int, choice: CpuLora, environ: Mapping[str, str]) -> dict[str, str]:
    """Environment variables for vLLM's processes on a CPU, without those that the user has set."""
    chosen = {}
    if cores <= _FEW_CORES:
        # vLLM keeps one core free by default; on two cores the model would compute on one.
        chosen["VLLM_CPU_NUM_OF_RESERVED_CPU"] = "0"
    if choice is not CpuLora.OFF:
        chosen["GLIBC_TUNABLES"] = KEEP_MEMORY
    return {name: value for name, value in chosen.items() if name not in environ}
