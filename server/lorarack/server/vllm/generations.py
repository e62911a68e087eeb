"""What the engine generates, on its way to vLLM's routes: a failed request becomes an error of its caller, others are counted."""

import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from vllm.exceptions import GenerationError

from lorarack.server.exchange import CURRENT, Generation
from lorarack.server.vllm.nonfinite import NOT_FINITE, NOT_LOADED

_MESSAGES = {
    NOT_FINITE: "{name} gave numbers that are not finite; its weights or its scale are too large.",
    NOT_LOADED: "{name} is no longer loaded; send the request again.",
}


def watch_generate(engine_client: Any, failed: Callable[[str, str, bool], None]) -> None:
    """Have each generation put on the request that it is for, and failed ones reported.

    ``failed(name, message, permanent)`` is called for each request to an adapter that failed, before its caller hears.
    """
    generate = engine_client.generate

    async def generate_watched(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        exchange, started, output = CURRENT.get(), time.perf_counter(), None
        try:
            async for output in generate(*args, **kwargs):
                _raise_if_failed(output, failed)
                yield output
        finally:  # also where the client hangs up
            if exchange is not None and (made := _generation(output, started - exchange.began)) is not None:
                exchange.generations.append(made)

    engine_client.generate = generate_watched


def _raise_if_failed(output: Any, failed: Callable[[str, str, bool], None]) -> None:
    reason = output.outputs[0].stop_reason if output.finished and output.outputs else None
    if isinstance(reason, str) and reason in _MESSAGES and output.outputs[0].finish_reason == "error":
        name = output.lora_request.lora_name if output.lora_request is not None else None
        message = _MESSAGES[reason].format(name=name or "The base model")
        if name is not None:
            failed(name, message, reason == NOT_FINITE)
        raise GenerationError(message)


def _generation(output: Any, before: float) -> Generation | None:
    """What ``output``, the last one of a request that came ``before`` seconds earlier, says; None without vLLM's statistics."""
    stats = output.metrics if output is not None else None
    if stats is None or not stats.num_generation_tokens:
        return None
    return Generation(
        prompt=len(output.prompt_token_ids or ()),
        tokens=stats.num_generation_tokens,
        first_token=before + stats.first_token_latency,
        decode_seconds=max(0.0, stats.last_token_ts - stats.first_token_ts),
    )


def waiting_and_running(engine_client: Any) -> dict[str, tuple[int, int]]:
    """Requests that wait in the engine and that it computes, by the name of their adapter."""
    states = engine_client.output_processor.lora_states.requests
    return {name: (len(found.waiting), len(found.running)) for name, found in tuple(states.items())}
