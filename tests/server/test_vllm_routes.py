"""vLLM's own app, every set of routes that it can have: each route was looked at, and none opens without a key."""

import importlib
import itertools
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
from starlette.routing import Mount, WebSocketRoute
from tests.server.values import ring

from lorarack.server.http.api_key import OPEN_PATHS, ApiKeyMiddleware
from lorarack.server.http.route_table import FORMS, GET_ROUTES, NEEDED_STATE, POST_ROUTES, REFUSALS, Kind, route_of

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning"),
]

POOLING = ("embed", "classify", "token_embed", "token_classify", "plugin")
TASKS = {
    "text": ("generate",),
    "everything": ("generate", "transcription", "realtime", *POOLING),
    "pooling": POOLING,
    "embedding": ("embed",),
    "scores": ("classify",),
    "late interaction": ("token_embed",),
}
#: Routes of flags and variables that `lorarack serve` does not take; were they there, they would be refused.
NEVER = ("/sleep", "/wake_up", "/collective_rpc", "/pause", "/update_weights", "/reset_prefix_cache")


@pytest.fixture(scope="module", params=TASKS)
def app(request: pytest.FixtureRequest) -> Any:
    from vllm.entrypoints.launchers.app import build_app
    from vllm.entrypoints.launchers.cli_args import make_arg_parser
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    class ModelConfig:
        num_labels = 1
        hf_config = None
        score_type = "cross-encoder"

        architecture = "SomeModel"
        attn_type = "decoder"

        def get_pooling_task(self, supported: tuple[str, ...]) -> str | None:
            return next((task for task in POOLING if task in supported), None)

    flags = ["some-model", "--enable-scale-out", "--enable-tokenizer-info-endpoint"]
    args = make_arg_parser(FlexibleArgumentParser()).parse_args(flags)
    return build_app(args, TASKS[request.param], ModelConfig())


def test_every_route_was_looked_at(app: Any) -> None:
    """A route of a new vLLM fails here until somebody has looked what it answers with."""
    for route in app.routes:
        if isinstance(route, WebSocketRoute):
            continue  # all are refused
        if isinstance(route, Mount):
            assert route.path in GET_ROUTES
            continue
        for method in route.methods - {"HEAD"}:
            assert route.path in {"GET": GET_ROUTES, "POST": POST_ROUTES}[method], f"{method} {route.path}"


def test_routes_that_answer_take_json_or_a_form(app: Any) -> None:
    """What the gateway reads; and it is vLLM's own check, so nothing passes that the gateway does not see."""
    from vllm.entrypoints.serve.utils.api_utils import validate_json_request

    for route in app.routes:
        path = getattr(route, "path", "")
        if path in FORMS:
            assert [field.field_info.__class__.__name__ for field in route.dependant.body_params] == ["Form"], path
        elif POST_ROUTES.get(path) in (Kind.ANSWERS, Kind.TOKENS) and "POST" in route.methods:
            assert validate_json_request in [needed.call for needed in route.dependant.dependencies], route.path


def test_nothing_that_is_there_for_everybody_can_be_changed(app: Any) -> None:
    assert not {route.path for route in app.routes if hasattr(route, "path")} & set(NEVER)


def spellings(path: str) -> set[str]:
    path = path.replace("{response_id}", "resp_1").replace("{name:path}", "support")
    return {
        path, f"{path}/", f"/{path}", f"/.{path}", f"/x/..{path}", path.upper(), path.replace("/", "%2f"),
        f"{path}?x=/health", f"{path}%00", f"{path};x", f"/health/..{path}", f"/metrics{path}", f"/health{path}",
    }  # fmt: skip


async def test_no_route_opens_without_a_key_whatever_the_method_and_the_spelling(app: Any) -> None:
    """The app's own routes, over all methods and spellings; the body is not read."""
    gate = ApiKeyMiddleware(app, ring("secret"))
    paths = {route.path for route in app.routes if hasattr(route, "path")} | {"/", "/nosuch", *OPEN_PATHS}
    asked = itertools.product(
        ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "LINK"), paths, ("", "/llm")
    )
    for method, path, root in asked:
        for spelling in spellings(path):
            status = await answer(gate, method, spelling, root)
            is_open = method in ("GET", "HEAD") and unquote(spelling.partition("?")[0]) in OPEN_PATHS
            assert is_open or status == 401, f"{method} {root}{spelling} answered {status}"


@pytest.mark.parametrize("key", ["authorization", "x-api-key"])
async def test_with_a_key_the_app_is_reached(app: Any, key: str) -> None:
    headers = {key: "Bearer secret" if key == "authorization" else "secret"}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(ApiKeyMiddleware(app, ring("secret"))), base_url="http://x"
    ) as c:
        assert (await c.get("/version", headers=headers)).status_code == 200


async def test_refusals_have_the_cors_headers_of_all_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind vLLM's own middlewares. Without them a page is told of a failed connection where a key is missing."""
    from fastapi import FastAPI
    from vllm.entrypoints.launchers.cli_args import make_arg_parser
    from vllm.entrypoints.serve.middleware.register import init_entrypoints_middleware
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    from lorarack.server.http import model_resolver
    from lorarack.server.vllm.endpoint import cors_of

    monkeypatch.setattr(model_resolver, "MAX_BODY_BYTES", 2**20)
    state: Any = SimpleNamespace(observers=(), open_requests=SimpleNamespace(draining=False))
    page, other = "https://page.example", "https://other.example"
    flags = ["some-model", "--allowed-origins", f'["{page}"]', "--allow-credentials"]
    args = make_arg_parser(FlexibleArgumentParser()).parse_args(flags)
    app = FastAPI()
    app.post("/v1/completions")(lambda: None)
    app.add_middleware(model_resolver.ModelResolverMiddleware, state=lambda: state)
    init_entrypoints_middleware(args, app, ("generate",))
    gate = ApiKeyMiddleware(app, ring("secret"), with_cors=cors_of(args))
    json, key = {"content-type": "application/json"}, {"x-api-key": "secret"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(gate), base_url="http://x") as client:
        for status, headers, content in (
            (401, json, b"{}"),
            (415, key, b"{}"),
            (413, {**json, **key}, b"{" + b" " * 2**20),
        ):
            response = await client.post("/v1/completions", content=content, headers={**headers, "origin": page})
            assert response.status_code == status
            assert response.headers["access-control-allow-origin"] == page
            assert response.headers["access-control-allow-credentials"] == "true"
            assert response.headers["vary"] == "Origin"
            foreign = await client.post("/v1/completions", content=content, headers={**headers, "origin": other})
            assert foreign.status_code == status
            assert "access-control-allow-origin" not in foreign.headers
        assert "access-control-allow-origin" not in (await client.post("/v1/completions")).headers


async def answer(app: Any, method: str, path: str, root: str) -> int:
    """The status of a request whose path and query are sent as they are; the body must not be asked for."""
    raw, _, query = path.partition("?")
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": root + unquote(raw), "raw_path": (root + raw).encode(), "query_string": query.encode(), "root_path": root,
        "headers": [(b"host", b"x"), (b"content-type", b"application/json")], "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2), "state": {},
    }  # fmt: skip
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        assert statuses or (method in ("GET", "HEAD")), "a body was read before the key was checked"
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    if method in ("GET", "HEAD") and unquote(raw) in OPEN_PATHS:
        return 200  # these need the engine; the gate's own test has them
    await app(scope, receive, send)
    return statuses[0]


def test_what_the_route_table_names_of_the_apps_state_is_there() -> None:
    import inspect

    from vllm.entrypoints.generate import api_router
    from vllm.entrypoints.generate.structured_decisions import api_router as decisions

    source = inspect.getsource(api_router) + inspect.getsource(decisions)
    assert all(f"state.{attribute} = " in source for attribute in NEEDED_STATE.values())
    assert all(POST_ROUTES[path] is Kind.REFUSED for path in REFUSALS)


def test_a_route_that_only_says_that_a_flag_is_missing_answers_nothing() -> None:
    import inspect

    from vllm.entrypoints.scale_out import factories

    assert "async def disabled_scale_out()" in inspect.getsource(factories)


def test_a_path_without_a_route_is_none(app: Any) -> None:
    scope = {"type": "http", "app": app, "method": "POST", "path": "/v1/nosuch", "headers": [], "root_path": ""}
    assert route_of(scope) is None
    assert route_of({**scope, "path": "/version"}) is None, "GET only"
    assert route_of({**scope, "path": "/tokenize"}) == "/tokenize"
    assert route_of({**scope, "path": "/llm/tokenize", "root_path": "/llm"}) == "/tokenize"


def test_sagemakers_header_is_what_the_gateway_sets() -> None:
    from lorarack.server.http.route_table import ADAPTER_HEADER

    constants = importlib.import_module("model_hosting_container_standards.sagemaker.lora.constants")
    assert constants.SageMakerLoRAApiHeader.ADAPTER_IDENTIFIER.lower().encode() == ADAPTER_HEADER
