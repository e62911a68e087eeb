"""A request that the engine failed becomes an error of its caller, and the adapter is reported."""

from collections.abc import AsyncIterator, Callable
from typing import Any

from vllm.exceptions import GenerationError

from lorarack.server.vllm.nonfinite import NOT_FINITE, NOT_LOADED

_MESSAGES = {
    NOT_FINITE: "{name} gave numbers that are not finite; its weights or its scale are too large.",
    NOT_LOADED: "{name} is no longer loaded; send the request again.",
}


def watch_generate(engine_client: Any, failed: Callable[[str, str, bool], None]) -> None:
    """Have ``failed(name, message, permanent)`` called for each request to an adapter that failed, before its caller hears."""
    generate = engine_client.generate

    async def generate_watched(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        async for output in generate(*args, **kwargs):
            reason = output.outputs[0].stop_reason if output.finished and output.outputs else None
            if isinstance(reason, str) and reason in _MESSAGES and output.outputs[0].finish_reason == "error":
                name = output.lora_request.lora_name if output.lora_request is not None else None
                message = _MESSAGES[reason].format(name=name or "The base model")
                if name is not None:
                    failed(name, message, reason == NOT_FINITE)
                raise GenerationError(message)
            yield output

    engine_client.generate = generate_watched
