"""A start in words and numbers: each setting with its reason, bytes, and what a rank costs."""

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from lorarack.registry.value import Value
from lorarack.server.engine_speed import AdapterWork, EngineSpeed, SpeedForecast, forecast
from lorarack.server.kv_cache import CacheSize, EngineSize
from lorarack.server.launch_plan import LaunchPlan
from lorarack.server.limits import RANK_BUCKETS, unpacked
from lorarack.server.machine import Machine

#: Ranks whose cost is worked out, beside that of the slots.
_RANKS = (8, 16, 64)
#: The traffic that a forecast is made for: rank, and tokens of a request.
_FORECAST_RANK, _PROMPT, _OUTPUT = 16, 128, 64
_UNMEASURED = (
    "How fast it is will be known here after the first start with these settings, which measures it for some seconds."
)
_BUSY = (
    "How fast it is was measured while other programs had {share:.0%} of the processors: alone it is faster. "
    "The next start measures again."
)
_SECRET = frozenset({"api_key", "hf_token"})


class Setting(Value):
    """One setting."""

    name: str = Field(description="vLLM's flag, or an environment variable")
    value: str | None = Field(description="null: removed")
    said_by: str = Field(description="user or lorarack")
    reason: str | None


class RankCost(Value):
    """What adapters of one rank cost."""

    rank: int
    adapter_bytes: int = Field(
        description="one adapter on the layers that are adapted here, in the engine's number type"
    )
    slots_bytes: int = Field(description="all slots, if they hold this rank")
    host_bytes: int = Field(description="as many adapters of this rank as host memory keeps")
    compute: float = Field(description="multiplications of a token with such an adapter, over those of the base alone")


class LaunchReport(Value):
    """What a start would do."""

    base: str
    fingerprint: str
    source: str
    address: str
    vllm: str
    lora: str = Field(description="what computes LoRA")
    settings: tuple[Setting, ...]
    pins: tuple[str, ...]
    slots: int = Field(description="adapters in one batch")
    places: int = Field(description="adapters in host memory")
    max_rank: int = Field(description="the largest rank that is served")
    ranks: tuple[RankCost, ...]
    free_bytes: int | None = Field(description="memory that can be had now; null on a GPU, as the next four")
    weight_bytes: int | None
    process_bytes: int | None
    kv_bytes: int | None
    kv_tokens: int | None = Field(description="tokens that the KV cache holds; null also where layers differ")
    max_model_len: int | None
    speed: tuple[SpeedForecast, ...] = Field(description="what to expect; empty until a start has measured it here")
    notes: tuple[str, ...]


def launch_report(
    plan: LaunchPlan,
    machine: Machine,
    args: Any,
    size: EngineSize | None,
    cache: CacheSize | None,
    speed: EngineSpeed | None = None,
) -> LaunchReport:
    """The report of ``plan`` on ``machine``, whose flags vLLM parsed to ``args``.

    ``speed`` is what an engine with these settings was measured to do; None: not yet.
    """
    workers = size.workers * size.engines if size else 1
    kv = cache.worker_bytes * workers if cache and cache.worker_bytes is not None else None
    ranks = sorted({*_RANKS, args.max_lora_rank} & set(RANK_BUCKETS))
    return LaunchReport(
        base=plan.base.name,
        fingerprint=plan.base.fingerprint,
        source=plan.engine_args[0],
        address=f"http://{args.host}:{args.port}",
        vllm=machine.vllm.version,
        lora=f"{plan.backend.choice.value}, on this CPU" if plan.backend else "vLLM's kernels, on the GPU",
        settings=tuple(_settings(plan, args)),
        pins=plan.settings.pins,
        slots=args.max_loras,
        places=args.max_cpu_loras or args.max_loras,
        max_rank=args.max_lora_rank,
        ranks=tuple(_cost(plan, args, rank, _number_bytes(plan, size)) for rank in ranks),
        free_bytes=machine.memory.for_workers(workers) if size and machine.memory else None,
        weight_bytes=size.engines * size.weight_bytes if size else None,
        process_bytes=size.besides_cache - size.engines * size.weight_bytes if size else None,
        kv_bytes=kv,
        kv_tokens=kv // size.token_bytes if size and size.token_bytes and kv is not None else None,
        max_model_len=size.max_model_len if size else None,
        speed=tuple(_speed(plan, args, size, speed)) if speed and size else (),
        notes=(*plan.notes, *(_speed_notes(speed) if size else [])),
    )


def _speed_notes(speed: EngineSpeed | None) -> list[str]:
    if speed is None:
        return [_UNMEASURED]
    return [] if speed.holds else [_BUSY.format(share=speed.busy)]


def _speed(plan: LaunchPlan, args: Any, size: EngineSize, speed: EngineSpeed) -> Iterator[SpeedForecast]:
    cost = _cost(plan, args, min(_FORECAST_RANK, args.max_lora_rank), _number_bytes(plan, size))
    for requests in sorted({1, min(args.max_loras, size.max_num_seqs)}):
        for adapter in (None, AdapterWork(cost.rank, cost.adapter_bytes)):
            yield forecast(speed, size.weight_bytes, adapter, requests, _PROMPT, _OUTPUT)


def _settings(plan: LaunchPlan, args: Any) -> Iterator[Setting]:
    ours = {default.key: default for default in plan.defaults}
    for default in plan.defaults:
        value = getattr(args, default.key)
        held = value == default.value
        yield Setting(
            name=default.flag,
            value=_shown(value),
            said_by="lorarack" if held else "user",
            reason=default.reason if held else None,
        )
    given = dict.fromkeys(word.partition("=")[0] for word in plan.engine_args[1:] if word.startswith("--"))
    for flag in given:
        key = flag.removeprefix("--").replace("-", "_")
        if key not in ours and hasattr(args, key):
            value = "(not shown)" if key in _SECRET else _shown(getattr(args, key))
            yield Setting(name=flag, value=value, said_by="user", reason=None)
    if plan.settings.close_metrics:
        yield Setting(name="--close-metrics", value="True", said_by="user", reason=None)
    for key, limit in plan.settings.admission.model_dump(exclude_none=True).items():
        yield Setting(name=f"--{key.replace('_', '-')}", value=str(limit), said_by="user", reason=None)
    for name, text in sorted(plan.environment.items()):
        yield Setting(name=name, value=text, said_by="lorarack", reason=_VARIABLES.get(name))


_KEPT = "what is compiled is kept for the next start, where nobody else can write"
_VARIABLES = {
    "TORCHINDUCTOR_CACHE_DIR": _KEPT,
    "TRITON_CACHE_DIR": _KEPT,
    "VLLM_CACHE_ROOT": _KEPT,
    "VLLM_PLUGINS": "what was admitted, and lorarack's own",
    "VLLM_COMPUTE_NANS_IN_LOGITS": "a request with numbers that are not finite fails, and no other",
    "VLLM_CPU_NUM_OF_RESERVED_CPU": "vLLM keeps one core free; on few cores that is a large part",
    "GLIBC_TUNABLES": "what a step frees is kept, in large pages",
    "VLLM_TARGET_DEVICE": "says what the build says, and keeps vLLM from asking for our platform",
    "LORARACK_SERVING": "tells the server's processes what they serve",
}


def _number_bytes(plan: LaunchPlan, size: EngineSize | None) -> int:
    """Bytes of one number of an adapter: as the model's, which takes two unless it is served in float32."""
    return 4 if size and size.weight_bytes > 3 * plan.base.parameters else 2


def _cost(plan: LaunchPlan, args: Any, rank: int, number_bytes: int) -> RankCost:
    targets = unpacked(args.lora_target_modules) if args.lora_target_modules else None
    adapted = [
        shape
        for name, shape in plan.base.modules.items()
        if (last := name.rpartition(".")[2]) and (last in targets if targets is not None else last not in _HEADS)
    ]
    numbers = rank * sum(out + width for out, width in adapted)
    one = numbers * number_bytes
    places = args.max_cpu_loras or args.max_loras
    return RankCost(
        rank=rank,
        adapter_bytes=one,
        slots_bytes=one * args.max_loras,
        host_bytes=one * places,
        compute=1 + numbers / max(1, plan.base.parameters),
    )


_HEADS = frozenset({"embed_tokens", "lm_head"})


def _shown(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
