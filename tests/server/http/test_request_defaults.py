"""What a version brings along is filled in where a request is silent, on each route by that route's names, and nowhere else."""

import json
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.server.http.echo import client_of, echo
from tests.server.values import RecordingEngine
from tests.tiny import tiny_adapter, tiny_base

from lorarack.registry import ServingDefaults, Version, open_registry
from lorarack.registry.errors import StoreError
from lorarack.server.app_state import AppState
from lorarack.server.exchange import CURRENT
from lorarack.server.experiment_recorder import ExperimentRecorder
from lorarack.server.http.asgi import Receive, Scope, Send
from lorarack.server.http.model_resolver import ModelResolverMiddleware
from lorarack.server.http.request_defaults import own_template, with_defaults
from lorarack.server.limits import Limits
from lorarack.server.reference_resolver import ReferenceResolver
from lorarack.server.residency import Residency
from lorarack.server.version_defaults import DefaultsReader, VersionDefaults

USER = {"role": "user", "content": "hi"}
SYSTEM = {"role": "system", "content": "Be brief."}
FILLED = ServingDefaults(
    system="Be brief.", temperature=0.25, top_p=0.5, top_k=7, min_p=0.1, max_tokens=900, stop=("END",),
    presence_penalty=0.5, frequency_penalty=0.25, repetition_penalty=1.5, chat_template_kwargs={"mood": "fine", "n": 1},
)  # fmt: skip
OWN = VersionDefaults("{{ messages }}", FILLED)
SAMPLING = {
    "temperature": 0.25, "top_p": 0.5, "top_k": 7, "min_p": 0.1, "presence_penalty": 0.5, "frequency_penalty": 0.25,
    "repetition_penalty": 1.5, "stop": ["END"],
}  # fmt: skip
KWARGS = {"chat_template_kwargs": {"mood": "fine", "n": 1}}

#: A silent request on each route, and what becomes of it where a request may ask for 512 tokens.
SILENT: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "/v1/chat/completions": ({"messages": [USER]}, {**SAMPLING, "max_tokens": 512, **KWARGS, "messages": [SYSTEM, USER]}),
    "/v1/chat/completions/batch": (
        {"messages": [[USER], [SYSTEM | {"content": "Own."}, USER]]},
        {**SAMPLING, "max_tokens": 512, **KWARGS, "messages": [[SYSTEM, USER], [SYSTEM | {"content": "Own."}, USER]]},
    ),
    "/v1/completions": ({"prompt": "x"}, {"prompt": "x", **SAMPLING, "max_tokens": 512}),
    "/v1/responses": (
        {"input": "hi"}, {"input": "hi", **SAMPLING, "max_output_tokens": 512, **KWARGS, "instructions": "Be brief."},
    ),
    "/v1/messages": (
        {"messages": [USER], "max_tokens": 9},
        {"messages": [USER], "max_tokens": 9, "temperature": 0.25, "top_p": 0.5, "top_k": 7, "stop_sequences": ["END"],
         **KWARGS, "system": "Be brief."},
    ),
    "/cohere/v2/chat": (
        {"messages": [USER]},
        {"messages": [SYSTEM, USER], "temperature": 0.25, "p": 0.5, "k": 7, "presence_penalty": 0.5,
         "frequency_penalty": 0.25, "max_tokens": 512, "stop_sequences": ["END"], **KWARGS},
    ),
    "/tokenize": ({"messages": [USER]}, {"messages": [SYSTEM, USER], **KWARGS}),
    "/v1/messages/count_tokens": ({"messages": [USER]}, {"messages": [USER], "system": "Be brief.", **KWARGS}),
}  # fmt: skip


@pytest.mark.parametrize("path", SILENT)
def test_a_silent_request_is_filled_in(path: str) -> None:
    silent, filled = SILENT[path]
    assert with_defaults(path, {"model": "m", **silent}, OWN, 512) == {"model": "m", **filled}
    nothing = {"model": "m", **silent, "temperature": None, "stop": None}
    assert with_defaults(path, nothing, OWN, 512).get("temperature") == filled.get("temperature"), "null is silence"
    assert own_template(path, silent, OWN) == "{{ messages }}"


@pytest.mark.parametrize("path", SILENT)
def test_what_a_request_says_stays(path: str) -> None:
    """A system prompt of its own, empty too; each number; arguments of the template one by one; its own template."""
    silent, filled = SILENT[path]
    system: dict[str, Any] = {"system": ""} if "messages" in path and "chat" not in path else {}
    if path == "/v1/responses":
        system = {"instructions": ""}
    said = {
        **dict.fromkeys(set(filled) - {"messages", "prompt", "input", "chat_template_kwargs"}, "own"),
        **silent,
        **system,
    }
    if isinstance(silent.get("messages"), list) and not system:
        said["messages"] = [[SYSTEM, USER]] if path.endswith("batch") else [{"role": "developer", "content": ""}, USER]
    if "chat_template_kwargs" in filled:
        said["chat_template_kwargs"] = {"mood": "own"}
        filled_kwargs = {"chat_template_kwargs": {"mood": "own", "n": 1}}
    else:
        filled_kwargs = {}
    assert with_defaults(path, said, OWN, 512) == {**said, **filled_kwargs}
    for theirs in ({"chat_template": "{{ 1 }}"}, {"chat_template_kwargs": {"chat_template": "{{ 1 }}"}}):
        assert own_template(path, {**silent, **theirs}, OWN) is None, "vLLM refuses it, or takes it by its flag"


def test_longer_names_of_the_same_are_heard() -> None:
    assert "max_tokens" not in with_defaults(
        "/v1/chat/completions", {"messages": [USER], "max_completion_tokens": 3}, OWN, 9
    )
    assert with_defaults("/v1/completions", {"prompt": "x"}, OWN, None)["max_tokens"] == 900


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/embeddings", {"input": "x"}), ("/pooling", {"messages": [USER]}), ("/detokenize", {"tokens": [1]}),
        ("/inference/v1/generate", {"token_ids": [1]}), ("/invocations", {"input": "x"}), ("/tokenize", {"prompt": "x"}),
    ],
)  # fmt: skip
def test_other_routes_are_left_as_they_are(path: str, body: dict[str, Any]) -> None:
    assert with_defaults(path, body, OWN, 512) == body


def test_sagemakers_route_speaks_two_forms() -> None:
    assert with_defaults("/invocations", {"messages": [USER]}, OWN, 512)["messages"] == [SYSTEM, USER]
    assert "messages" not in with_defaults("/invocations", {"prompt": "x"}, OWN, 512)


_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.sampled_from(sorted(SILENT)),
    st.dictionaries(st.sampled_from(["messages", "input", "system", "stop", *KWARGS]), _JSON),
)
def test_nothing_that_a_request_may_hold_breaks_it(path: str, body: dict[str, Any]) -> None:
    """vLLM says best what is wrong with a request; what it said stays."""
    filled = with_defaults(path, body, OWN, 512)
    for name, value in body.items():
        if value is not None and name not in ("messages", *KWARGS):
            assert filled[name] == value


# Through the gateway


@pytest.fixture
async def state(tmp_path: Path) -> AppState:
    """``support``: version 1 with a template and defaults, version 2 the same weights asked otherwise, version 3 without."""
    registry = open_registry(tmp_path / "home")
    base = registry.add_base(str(tiny_base(tmp_path / "base")), "tiny")
    folder = tiny_adapter(tmp_path / "one", seed=1)
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    registry.publish(folder, "support", base="tiny", defaults=ServingDefaults(temperature=0.5, system="One."))
    registry.publish(folder, "support", base="tiny", defaults=ServingDefaults(temperature=0.75))
    registry.publish(tiny_adapter(tmp_path / "three", seed=3), "support", base="tiny")
    registry.experiments.start(registry.experiments.plan("support", "default", [("1", 50.0), ("2", 50.0)]))
    resolver = ReferenceResolver(registry, base_names=("tiny",))
    await resolver.refresh()

    def copy_of(version: Version) -> BytesIO:
        return BytesIO(version.digest.encode())

    residency = Residency(RecordingEngine(), copy_of, Limits("tiny", base.fingerprint, 16, max_model_len=256))
    recorder = ExperimentRecorder(registry.experiments, resolver.refresh)
    return AppState.build(
        frozenset({"tiny"}), resolver, residency, experiments=recorder, defaults=DefaultsReader(registry)
    )


TEMPLATES: list[str | None] = []


async def listening(scope: Scope, receive: Receive, send: Send) -> None:
    """As ``echo``, and notes with what the chat would be rendered."""
    exchange = CURRENT.get()
    TEMPLATES.append(exchange.chat_template if exchange else None)
    await echo(scope, receive, send)


@pytest.fixture
async def client(state: AppState) -> AsyncIterator[httpx.AsyncClient]:
    TEMPLATES.clear()
    async with client_of(ModelResolverMiddleware(listening, lambda: state)) as made:
        yield made


async def test_each_version_has_its_own(client: httpx.AsyncClient) -> None:
    async def asked(model: str, path: str = "/v1/chat/completions") -> dict[str, Any]:
        answer = await client.post(path, json={"model": model, "messages": [USER]})
        assert answer.status_code == 200
        found: dict[str, Any] = answer.json()
        return found

    first, second, third, base = [await asked(model) for model in ("support@1", "support@2", "support@3", "tiny")]
    assert (first["temperature"], first["messages"][0]["content"]) == (0.5, "One.")
    assert (second["temperature"], second["messages"]) == (0.75, [USER])
    assert third == {"model": "support@3", "messages": [USER]}
    assert base == {"model": "tiny", "messages": [USER]}
    assert TEMPLATES == ["{{ messages }}", "{{ messages }}", None, None]
    counted = await asked("support@1", "/tokenize")
    assert counted["messages"] == first["messages"], "what is counted is what is served"
    assert (counted["model"], TEMPLATES[-1]) == ("tiny", "{{ messages }}")


async def test_an_experiments_arms_each_use_their_own(client: httpx.AsyncClient) -> None:
    """Also where tokens are only counted, so that a user counts what they are answered."""
    temperatures = set()
    for number in range(12):
        headers = {"x-lorarack-user": f"user-{number}"}
        body = {"model": "support", "messages": [USER]}
        answer = await client.post("/v1/chat/completions", json=body, headers=headers)
        counted = await client.post("/tokenize", json=body, headers=headers)
        version = answer.headers["x-lorarack-version"]
        assert answer.json()["temperature"] == {"support@1": 0.5, "support@2": 0.75}[version]
        assert counted.headers["x-lorarack-version"] == version
        assert "x-lorarack-arm" not in counted.headers
        assert counted.json()["messages"] == answer.json()["messages"]
        temperatures.add(answer.json()["temperature"])
    assert temperatures == {0.5, 0.75}


async def test_what_was_read_serves_while_the_registry_is_away(
    client: httpx.AsyncClient, state: AppState, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"model": "support@1", "messages": [USER]}
    assert (await client.post("/v1/chat/completions", json=body)).json()["temperature"] == 0.5

    def away(*_: object) -> None:
        raise StoreError("The registry is away.")

    from lorarack.registry.local import LocalRegistry

    monkeypatch.setattr(LocalRegistry, "serving_defaults", away)
    assert (await client.post("/v1/chat/completions", json=body)).json()["temperature"] == 0.5
    refused = await client.post("/v1/chat/completions", json={**body, "model": "support@2"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "store")
    assert json.dumps(refused.json()).count("away") == 1
