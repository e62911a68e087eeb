"""vLLM's own arguments for a start: its parser over our defaults, checked, with the KV cache that fits the machine."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lorarack.server import preflight
from lorarack.server.api_keys import VARIABLE, check_keys
from lorarack.server.kv_cache import CacheSize, EngineSize, RequestedMemory, size_cache
from lorarack.server.launch_plan import LaunchPlan
from lorarack.server.machine import Machine
from lorarack.server.refused_flags import check_flags


@dataclass(frozen=True, slots=True)
class EngineArguments:
    """What vLLM is started with.

    Attributes:
        args: vLLM's own namespace.
        size: the engine's; None where its memory is not ours to plan (a GPU).
        cache: of keys and values; None likewise.
        notes: what the user is told of defaults and memory.
    """

    args: Any
    size: EngineSize | None
    cache: CacheSize | None
    notes: tuple[str, ...]


def engine_arguments(plan: LaunchPlan, machine: Machine, adapters: Sequence[str]) -> EngineArguments:
    """vLLM's own arguments for ``plan``, with all that is ours, checked. This imports vLLM.

    Raises:
        UsageError: flags that vLLM does not take, or that are refused here.
        EngineError: too little memory.
    """
    from lorarack.server.vllm.engine_size import engine_size
    from lorarack.server.vllm.flags import parse_flags

    parsed = parse_flags(plan.engine_args, plan.defaults)
    args, source = parsed.args, plan.engine_args[0]
    check_flags(args, parsed.vllm_defaults, source, plan.revision)
    check_keys(args.api_key, machine.environ)
    preflight.check_pins(plan.settings.pins, args.max_cpu_loras or args.max_loras)
    args.model = args.model_tag = source
    names = args.served_model_name or []
    args.served_model_name = [*names, *([] if plan.base.name in names else [plan.base.name])]
    preflight.check_names(args.served_model_name, adapters)
    preflight.check_exposure(
        None if args.uds else args.host,
        asks_for_keys=plan.has_keys or bool(args.api_key or machine.environ.get(VARIABLE)),
        close_metrics=plan.settings.close_metrics,
    )
    if not (plan.backend and machine.memory):
        return EngineArguments(args, None, None, parsed.notes)
    size = engine_size(args, plan.base.parameters)
    asked = RequestedMemory(args.kv_cache_memory_bytes, parsed.memory_share, machine.environ)
    cache = size_cache(size, machine.memory, asked)
    args.kv_cache_memory_bytes = cache.worker_bytes
    return EngineArguments(args, size, cache, (*parsed.notes, *([cache.note] if cache.note else [])))
