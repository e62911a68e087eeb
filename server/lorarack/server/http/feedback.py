"""``POST /v1/feedback``: what a user said of an answer of a live experiment."""

import math
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from lorarack.registry.errors import LorarackError, NotFound, UsageError
from lorarack.registry.experiment.values import THUMBS
from lorarack.server.app_state import AppState
from lorarack.server.http.asgi import caller_of, read_body
from lorarack.server.http.bodies import Feedback, KeptFeedback, errors, json_body
from lorarack.server.http.errors import error_body, headers_of, status_of
from lorarack.server.http.request_json import json_object

_PATH = "/v1/feedback"
_MAX_BODY_BYTES = 1 << 20
_FORM = 'send {"id": "the answer\'s id", "metric": "thumbs", "value": 1}'


def make_feedback_router(state: Callable[[], AppState | None]) -> APIRouter:
    """The one route."""
    router = APIRouter()

    @router.post(
        _PATH, response_model=KeptFeedback, responses=errors(400, 404, 409, 413, 503), openapi_extra=json_body(Feedback)
    )
    async def feedback(request: Request) -> JSONResponse:
        """Store feedback on an answer, once; the same again gets the same result."""
        try:
            return JSONResponse(await _kept(request, state()))
        except LorarackError as error:
            status = status_of(error)
            headers = {key.decode(): value.decode() for key, value in headers_of(error)}
            return JSONResponse(
                error_body(_PATH, status, error.message, error.code), status_code=status, headers=headers
            )

    return router


async def _kept(request: Request, state: AppState | None) -> dict[str, Any]:
    caller = caller_of(request.scope)
    if state is None or state.experiments is None:
        raise NotFound("This server runs no experiments.", code="unknown_completion")
    body = await read_body(request.scope, request.receive, _MAX_BODY_BYTES)
    completion, metric, value = _parsed(json_object(body or b""))
    found = await state.experiments.add_feedback(completion, caller.name, metric, value)
    return {
        "id": found.completion,
        "experiment": found.experiment,
        "arm": found.arm,
        "metric": found.metric,
        "value": found.value,
    }


def _parsed(document: dict[str, Any] | None) -> tuple[str, str, float]:
    if document is None:
        raise UsageError(f"Feedback is a JSON object; {_FORM}.", code="bad_request")
    completion, metric, value = (document.get(name) for name in ("id", "metric", "value"))
    if not isinstance(completion, str) or not completion or "\0" in completion or len(completion) > 255:
        raise UsageError(f"The feedback has no 'id' of an answer; {_FORM}.", code="bad_request")
    metric = THUMBS if metric is None else metric
    if not isinstance(metric, str) or not metric:
        raise UsageError(f"The feedback's 'metric' is no name; {_FORM}.", code="bad_request")
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise UsageError(f"The feedback's 'value' is no number; {_FORM}.", code="bad_value")
    return completion, metric, float(value)
