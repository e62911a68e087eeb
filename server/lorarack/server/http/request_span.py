"""The span of a request that a model may answer: what OpenTelemetry's conventions for generative AI say of it, and the version."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from lorarack.server.exchange import Exchange
from lorarack.server.http.asgi import Scope, header, with_headers
from lorarack.server.spans import describe, is_tracing, server_span

#: ``gen_ai.operation.name`` by route; what is in none of these generates text.
_OPERATIONS = {
    **dict.fromkeys(
        ("/v1/chat/completions", "/v1/chat/completions/batch", "/v1/responses", "/v1/messages", "/cohere/v2/chat"),
        "chat",
    ),
    **dict.fromkeys(("/v1/embeddings", "/v2/embed", "/pooling"), "embeddings"),
}
_CONTEXT = ("traceparent", "tracestate")


def request_span(scope: Scope, path: str, exchange: Exchange) -> AbstractContextManager[Scope]:
    """A span around the block, below the one that the client's ``traceparent`` names.

    The block gets the scope for what is further in: its ``traceparent`` names this span, so vLLM's own spans lie below it.
    """
    return _request_span(scope, path, exchange) if is_tracing() else nullcontext(scope)


@contextmanager
def _request_span(scope: Scope, path: str, exchange: Exchange) -> Iterator[Scope]:
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    propagator = TraceContextTextMapPropagator()
    given = {name: header(scope, name.encode()).decode("latin-1") for name in _CONTEXT}
    parent = propagator.extract({name: value for name, value in given.items() if value})
    with server_span(exchange.request, parent) as current:
        carried: dict[str, str] = {}
        propagator.inject(carried)
        headers = [(name.encode(), value.encode()) for name, value in carried.items()]
        try:
            yield with_headers(scope, *headers, without=[name.encode() for name in _CONTEXT])
        finally:
            _say(current, path, exchange)


def _say(current: Any, path: str, exchange: Exchange) -> None:
    operation = _OPERATIONS.get(path, "text_completion")
    said = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": "vllm",
        "http.request.method": "POST",
        "http.route": path,
        "http.response.status_code": exchange.status,
        "gen_ai.response.id": exchange.completion,
        "lorarack.request.id": exchange.id,
        "lorarack.key.name": exchange.caller.name,
    }
    if (usage := exchange.usage) is not None:
        said |= {"gen_ai.usage.input_tokens": usage.prompt, "gen_ai.usage.output_tokens": usage.completion}
    if (route := exchange.route) is not None:
        said |= {"gen_ai.request.model": exchange.asked or route.version, "gen_ai.response.model": route.version}
        said |= {"lorarack.arm": route.arm.name if route.arm else None}
        if route.adapter is not None:
            describe(current, route.adapter)
        current.update_name(f"{operation} {exchange.asked or route.version}")
    current.set_attributes({name: value for name, value in said.items() if value is not None})
    if (status := exchange.status or 0) >= 400:
        current.set_attribute("error.type", str(status))
    if status >= 500:  # what a client did wrong is no error of the server's span
        from opentelemetry.trace import StatusCode

        current.set_status(StatusCode.ERROR)
