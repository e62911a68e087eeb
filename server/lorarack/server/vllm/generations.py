"""What the engine generates, on its way to vLLM's routes: a failed request becomes an error of its caller, others are counted."""

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from vllm.exceptions import GenerationError
from vllm.sampling_params import RequestOutputKind

from lorarack.server.exchange import CURRENT, Exchange, Generation, ServedText
from lorarack.server.vllm.nonfinite import NOT_FINITE, NOT_LOADED

#: Of what the engine is asked beside prompt and sampling, what decides the answer.
_KEPT = ("reasoning_ended", "reasoning_parser_kwargs", "tokenization_kwargs")
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
        served = _served(exchange, args, kwargs)
        try:
            async for output in generate(*args, **kwargs):
                _raise_if_failed(output, failed)
                if served is not None:
                    _add_to(served, output)
                yield output
        finally:  # also where the client hangs up
            if exchange is not None and (made := _generation(output, started - exchange.began)) is not None:
                exchange.generations.append(made)

    engine_client.generate = generate_watched


def _served(exchange: Exchange | None, args: Sequence[Any], kwargs: Mapping[str, Any]) -> ServedText | None:
    """The text to come, put on a request that wants a shadow; None for others."""
    if exchange is None or not exchange.wants_shadow:
        return None
    named = {**dict(zip(("prompt", "sampling_params", "request_id"), args, strict=False)), **kwargs}
    more = {name: named[name] for name in _KEPT if name in named}
    prompt, params = named.get("prompt"), named["sampling_params"]
    served = ServedText({"prompt": prompt if isinstance(prompt, dict) else {}, "params": params, "more": more})
    exchange.served.append(served)
    return served


def _add_to(served: ServedText, output: Any) -> None:
    served.prompt = output.prompt_token_ids or served.prompt
    for piece in output.outputs[:1]:
        if served.asked["params"].output_kind is RequestOutputKind.CUMULATIVE:
            served.tokens, served.text = [], ""
        served.tokens.extend(piece.token_ids)
        served.text += piece.text
        served.finished = piece.finish_reason is not None and piece.finish_reason != "abort"


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
