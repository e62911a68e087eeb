"""Facts of vLLM's requests that a version's defaults are filled into by."""

import ast
import dataclasses
import inspect
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")]


def _cohere_fields() -> set[str]:
    """Read from the source, which cannot be imported without Cohere's package."""
    import vllm.entrypoints.cohere

    tree = ast.parse(Path(*vllm.entrypoints.cohere.__path__, "protocol.py").read_text())
    request = next(one for one in tree.body if isinstance(one, ast.ClassDef) and one.name == "CohereChatV2Request")
    return {
        line.target.id for line in request.body if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)
    }


def _requests() -> dict[str, set[str]]:
    """The fields of each route's request."""
    from vllm.entrypoints.anthropic.protocol import AnthropicCountTokensRequest, AnthropicMessagesRequest
    from vllm.entrypoints.openai.chat_completion.protocol import BatchChatCompletionRequest, ChatCompletionRequest
    from vllm.entrypoints.openai.completion.protocol import CompletionRequest
    from vllm.entrypoints.openai.responses.protocol import ResponsesRequest
    from vllm.entrypoints.serve.tokenize.protocol import TokenizeChatRequest

    found = {
        "/v1/chat/completions": ChatCompletionRequest,
        "/v1/chat/completions/batch": BatchChatCompletionRequest,
        "/v1/completions": CompletionRequest,
        "/v1/responses": ResponsesRequest,
        "/v1/messages": AnthropicMessagesRequest,
        "/v1/messages/count_tokens": AnthropicCountTokensRequest,
        "/tokenize": TokenizeChatRequest,
    }
    return {path: set(request.model_fields) for path, request in found.items()} | {"/cohere/v2/chat": _cohere_fields()}


def test_each_route_has_the_fields_that_are_filled_in_and_no_other_default() -> None:
    """A name that vLLM does not know would be dropped without a word; one that it knows and we do not would never be applied."""
    from lorarack.registry import ServingDefaults
    from lorarack.server.http.request_defaults import _NAMES, _SYSTEM_FIELD

    requests = _requests()
    assert set(requests) == set(_NAMES)
    defaults = set(ServingDefaults.model_fields) - {"system", "chat_template_kwargs"}
    for path, known in requests.items():
        filled = {theirs for names in _NAMES[path].values() for theirs in names}
        assert filled <= known, path
        assert defaults & known <= set(_NAMES[path]), path
        if path != "/v1/completions":
            assert {"chat_template_kwargs", _SYSTEM_FIELD.get(path, "messages")} <= known, path


def test_every_chat_is_rendered_by_the_engine_clients_renderer() -> None:
    """There a version's own template is put in, behind the check of templates that requests carry."""
    from vllm.entrypoints.launchers.api_server import app_state
    from vllm.renderers.online_renderer import OnlineRenderer
    from vllm.renderers.params import ChatParams

    assert "renderer=engine_client.renderer" in inspect.getsource(app_state)
    rendering = inspect.getsource(OnlineRenderer.preprocess_chat)
    assert "renderer.render_chat_async(" in rendering
    assert "validate_chat_template" not in rendering
    assert "validate_chat_template" in inspect.getsource(OnlineRenderer.render_chat)
    assert "chat_template" in {field.name for field in dataclasses.fields(ChatParams)}


async def test_a_template_is_put_in_for_its_own_request_alone() -> None:
    from types import SimpleNamespace

    from vllm.renderers.params import ChatParams

    from lorarack.server.caller import ANONYMOUS
    from lorarack.server.exchange import CURRENT, Exchange
    from lorarack.server.vllm.chat_template import render_with_own_template

    seen: list[tuple[str | None, dict[str, Any]]] = []

    async def render_chat_async(conversations: Any, chat_params: Any, tok_params: Any = None, **_: Any) -> None:
        seen.append((chat_params.chat_template, chat_params.chat_template_kwargs))

    renderer = SimpleNamespace(render_chat_async=render_chat_async)
    render_with_own_template(renderer)
    params = ChatParams(chat_template="server's", chat_template_kwargs={"tools": None})
    await renderer.render_chat_async([], params)
    exchange = Exchange(ANONYMOUS, "POST /v1/chat/completions", chat_template="own")
    token = CURRENT.set(exchange)
    try:
        await renderer.render_chat_async([], params, skip_mm_cache=True)
    finally:
        CURRENT.reset(token)
    assert seen == [("server's", {"tools": None}), ("own", {"tools": None})]
