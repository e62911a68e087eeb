"""Requests made from the server's own OpenAPI description, right ones and wrong ones: no answer that is not meant, in any form.

schemathesis makes them, the same ones each time and few a route: what is wanted here is that each route is asked at all.
"""

import itertools
import json
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode, Response
from schemathesis.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from tests.system.server import KEY, Server
from tests.system.session_server import BASE

from lorarack.server.http.route_table import POST_ROUTES, Kind

pytestmark = pytest.mark.system

OURS = ("/ready", "/v1/residency", "/v1/models", "/v1/models/{name}", "/v1/feedback")
#: Requests to a route from its schema, and as many that do not fit it.
EXAMPLES = 4
#: For all of them together. A machine that is slower asks less.
SECONDS = 60.0
STEADY = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
#: What would have the engine work for long, and the most of it that is asked for.
SMALL = {
    "max_tokens": 2,
    "max_completion_tokens": 2,
    "max_output_tokens": 2,
    "n": 2,
    "best_of": 2,
    "beam_width": 2,
    "min_tokens": 2,
}
GENERATES = ("/v1/completions", "/v1/chat/completions", "/v1/chat/completions/batch", "/v1/messages", "/v1/responses")
MODELS = itertools.cycle(["plain@prod", BASE, "nosuch", "strong", "plain@99"])


def small(case: Any) -> Any:
    """The same request for few tokens, and often for a model that there is."""
    body = case.body
    if isinstance(body, dict):
        for name, most in SMALL.items():
            if isinstance(body.get(name), int) and body[name] > most:
                body[name] = most
        if case.operation.path in GENERATES:
            body.setdefault("max_output_tokens" if "responses" in case.operation.path else "max_tokens", 2)
        if isinstance(body.get("model"), str):
            body["model"] = next(MODELS)
    return case


def is_error(path: str, body: Any) -> bool:
    """Whether ``body`` is an error in the form of the route's own clients."""
    error = body.get("error") if isinstance(body, dict) else None
    known = isinstance(error, dict) and isinstance(error.get("message"), str) and isinstance(error.get("type"), str)
    return known and (not path.startswith("/v1/messages") or body.get("type") == "error")


def problems(case: Any, response: Response) -> Iterator[str]:
    """What is wrong with an answer."""
    path, status = case.operation.path, response.status_code
    kind = response.headers.get("content-type", [""])[0].partition(";")[0]
    # 501 is vLLM's word for what this kind of model cannot do.
    if status >= 500 and not (status == 501 or (status == 503 and "retry-after" in response.headers)):
        yield f"{status}"
    if status >= 400 and path != "/ready":
        if kind != "application/json":
            yield f"an error of the type {kind!r}"
        elif not is_error(path, json.loads(response.content)):
            yield "an error in another form"
    if POST_ROUTES.get(path) in (Kind.ANSWERS, Kind.TOKENS):
        if (status < 400) != ("x-lorarack-version" in response.headers):
            yield "a version is named, and nothing answered, or the other way round"
        if status < 400 and kind not in ("application/json", "text/event-stream"):
            yield f"an answer of the type {kind!r}"


def wrong(case: Any, response: Response) -> list[str]:
    """What is wrong with an answer; our own routes answer exactly as they are described."""
    found = list(problems(case, response))
    if case.operation.path in OURS:
        try:
            case.validate_response(
                response, checks=[status_code_conformance, content_type_conformance, response_schema_conformance]
            )
        except FailureGroup as failures:
            found.extend(str(failure) for failure in failures.exceptions)
    about = f"{case.as_curl_command()}\n{response.status_code} {response.content[:300]!r}"
    return [f"{case.operation.label}: {one}\n{about}" for one in found]


@pytest.mark.timeout(300)
def test_every_route_answers_what_it_says(server: Server) -> None:
    """No 5xx but one that says when to come again, errors in the clients' own form, and our routes exactly as described."""
    schema = schemathesis.openapi.from_dict(server.client.get("/openapi.json").json())
    known = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
    operations = sorted(known, key=lambda one: one.path not in OURS)
    assert set(OURS) <= {operation.path for operation in operations}
    asked: dict[str, list[int]] = {}
    found: list[str] = []
    end = time.monotonic() + SECONDS

    def ask(case: Any) -> None:
        if time.monotonic() < end:
            response = small(case).call(base_url=server.url, headers={"authorization": f"Bearer {KEY}"}, timeout=60)
            asked.setdefault(case.operation.label, []).append(response.status_code)
            found.extend(wrong(case, response))

    for mode, operation in itertools.product((GenerationMode.POSITIVE, GenerationMode.NEGATIVE), operations):
        with suppress(Unsatisfiable):  # a route without anything to fill in takes no wrong request
            STEADY(given(case=operation.as_strategy(generation_mode=mode))(ask))()
    print({label: sorted(statuses) for label, statuses in asked.items()})
    assert not found, "\n\n".join(found)
    assert {operation.label for operation in operations} <= asked.keys(), "too slow a machine to ask every route"
    assert server.complete(BASE, "Hello", max_tokens=1)["model"] == BASE
