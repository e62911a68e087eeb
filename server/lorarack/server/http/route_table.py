"""Every route that the pinned vLLM mounts, by what it does with a model's name. A test holds it against vLLM's own app.

What an answer says of its model must be true on every route. So a POST route that is not here is refused: it is
not checked.
"""

from collections.abc import Mapping
from enum import Enum, auto

from starlette.routing import Match

from lorarack.server.http.asgi import Scope, path_of


class Kind(Enum):
    """What the model resolver does with a request."""

    #: Answers with the model that the body names.
    ANSWERS = auto()
    #: Counts or turns tokens, which are the base's for every adapter: no adapter is loaded for it.
    TOKENS = auto()
    #: Has nothing to do with a model's name.
    PASSES = auto()
    #: Cannot be kept true, or would touch what is everybody's.
    REFUSED = auto()


#: These take a form, with `model` as a field of it; all others take JSON.
FORMS = frozenset({"/v1/audio/transcriptions", "/v1/audio/translations"})
#: SageMaker's route: vLLM overwrites `model` there with the header below, or with nothing where that is missing.
INVOCATIONS = "/invocations"
ADAPTER_HEADER = b"x-amzn-sagemaker-adapter-identifier"

_ANSWERS = (
    "/v1/chat/completions", "/v1/chat/completions/batch", "/v1/completions", "/v1/responses", "/v1/messages",
    "/cohere/v2/chat", "/generative_scoring", "/inference/v1/generate", "/v1/systemone", INVOCATIONS,
    "/v1/audio/transcriptions", "/v1/audio/translations",
    "/pooling", "/classify", "/score", "/v1/score", "/rerank", "/v1/rerank", "/v2/rerank", "/v1/embeddings", "/v2/embed",
)  # fmt: skip
_TOKENS = ("/tokenize", "/detokenize", "/v1/messages/count_tokens")
_PASSES = ("/v1/feedback", "/ping", "/v1/responses/{response_id}/cancel", "/is_scaling_elastic_ep")

_CLAIMED = "would answer with whatever model the request claims; send the text itself to /v1/chat/completions."
_EVERYBODY = "changes the engine for all users; stop the server and start it with other flags."

#: Why, for each route that is refused.
REFUSALS: Mapping[str, str] = {
    **dict.fromkeys(
        ("/v1/chat/completions/derender", "/v1/completions/derender", "/v1/chat/completions/render",
         "/v1/completions/render", "/v1/responses/render", "/v1/messages/render", "/cohere/v2/chat/render"),
        _CLAIMED,
    ),
    **dict.fromkeys(("/v1/load_lora_adapter", "/v1/unload_lora_adapter"), "is vLLM's own; publish the adapter instead."),
    **dict.fromkeys(
        ("/scale_elastic_ep", "/start_profile", "/stop_profile", "/fault_tolerance/apply",
         "/inference/v1/abort_requests", "/abort_requests"),
        _EVERYBODY,
    ),
}  # fmt: skip

#: POST routes by their path as vLLM writes it. GET routes answer with no model and pass.
POST_ROUTES: Mapping[str, Kind] = {
    **dict.fromkeys(_ANSWERS, Kind.ANSWERS),
    **dict.fromkeys(_TOKENS, Kind.TOKENS),
    **dict.fromkeys(_PASSES, Kind.PASSES),
    **dict.fromkeys(REFUSALS, Kind.REFUSED),
}

#: GET routes that were looked at: none gives a new answer of a model.
GET_ROUTES = frozenset({
    "/openapi.json", "/docs", "/docs/oauth2-redirect", "/redoc", "/load", "/version", "/kv_event_sources", "/health",
    "/metrics", "/ping", "/v1/models", "/v1/responses/{response_id}", "/fault_tolerance/status", "/tokenizer_info",
    "/ready", "/v1/models/{name:path}", "/v1/residency",
})  # fmt: skip

#: Routes that are mounted for every model and work with some: the attribute of the app's state that is None otherwise.
NEEDED_STATE: Mapping[str, str] = {
    "/v1/systemone": "serving_structured_decisions",
    "/cohere/v2/chat": "cohere_serving_chat_v2",
    "/generative_scoring": "serving_generative_scoring",
}


def route_of(scope: Scope) -> str | None:
    """The path of the route that will take this request, as it is written in the app; None when there is none (404, 405)."""
    app = scope.get("app")
    if app is None:
        return path_of(scope)
    for route in app.routes:
        if route.matches(scope)[0] is Match.FULL:
            # vLLM mounts these routes also where they only say that a flag is missing: nothing answers there.
            off = getattr(getattr(route, "endpoint", None), "__name__", "") == "disabled_scale_out"
            path = str(getattr(route, "path", ""))
            needed = NEEDED_STATE.get(path)
            return None if off or (needed and getattr(app.state, needed, None) is None) else path
    return None


def kind_of(method: str, route: str) -> Kind:
    """What to do with a request to ``route``."""
    if method in ("GET", "HEAD", "OPTIONS"):
        return Kind.PASSES
    return POST_ROUTES.get(route, Kind.REFUSED) if method == "POST" else Kind.REFUSED
