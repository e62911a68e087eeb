"""Spans of OpenTelemetry: where a request's time goes. Off, a span costs one comparison and OpenTelemetry is not imported here.

vLLM sets the exporter up (``--otlp-traces-endpoint``) and sends a span of its own for each text that it generates; ours are put
around it. They have names, counts and seconds: never what was asked or answered, and no key.
"""

import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from lorarack.registry import Version
from lorarack.registry.errors import LorarackError

#: What a collector that does not answer may hold a stop up by, in seconds.
FLUSH_SECONDS = 2.0

_NOTHING: AbstractContextManager[Any] = nullcontext()
_tracer: Any = None


def start_tracing() -> None:
    """Record spans from now on, with the provider that is set up in this process."""
    from opentelemetry import trace

    trace_with(trace.get_tracer("lorarack"))


def trace_with(tracer: Any) -> None:
    """Record spans with ``tracer``, or none: None."""
    global _tracer
    _tracer = tracer


def is_tracing() -> bool:
    """Whether spans are recorded."""
    return _tracer is not None


def span(name: str, version: Version | None = None, attributes: Mapping[str, Any] | None = None) -> Any:
    """A span around the block, below the one that the block is in; about ``version``."""
    if _tracer is None:
        return _NOTHING
    return _recorded(name, {**(_about(version) if version is not None else {}), **(attributes or {})}, None, None)


def server_span(name: str, parent: Any) -> AbstractContextManager[Any]:
    """The span of a request, below the client's own, ``parent`` (a context). The block gets the span."""
    from opentelemetry.trace import SpanKind

    return _recorded(name, {}, parent, SpanKind.SERVER)


def _about(version: Version) -> dict[str, Any]:
    return {
        "lorarack.adapter.name": version.adapter,
        "lorarack.adapter.version": version.number,
        "lorarack.adapter.digest": version.digest,
        "lorarack.adapter.rank": version.rank,
    }


def describe(current: Any, version: Version) -> None:
    """Say that ``current`` is about ``version``."""
    current.set_attributes(_about(version))


@contextmanager
def _recorded(name: str, attributes: dict[str, Any], parent: Any, kind: Any) -> Iterator[Any]:
    from opentelemetry.trace import SpanKind, StatusCode

    with _tracer.start_as_current_span(
        name,
        context=parent,
        kind=kind or SpanKind.INTERNAL,
        attributes=attributes,
        record_exception=False,  # its text may repeat what was sent
        set_status_on_exception=False,
    ) as current:
        try:
            yield current
        except BaseException as error:
            current.set_attribute(
                "error.type", error.code if isinstance(error, LorarackError) else type(error).__name__
            )
            current.set_status(StatusCode.ERROR)
            raise


def flush() -> None:
    """Send what is recorded and not sent yet, within `FLUSH_SECONDS`: a process that ends at once would lose it."""
    if (trace := sys.modules.get("opentelemetry.trace")) is None or _tracer is None:
        return
    sender = threading.Thread(target=trace.get_tracer_provider().force_flush, name="lorarack-spans", daemon=True)
    sender.start()
    sender.join(FLUSH_SECONDS)
