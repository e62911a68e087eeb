"""A version that brings a chat template and a system prompt is asked exactly as it was trained: the same tokens, on every route."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.system.server import Server
from tests.system.session_server import BASE

from lorarack.registry import ServingDefaults

pytestmark = [pytest.mark.system, pytest.mark.torch]

#: Not the base's: other marks, and it writes what it is told with `mood`.
TEMPLATE = (
    "{% for m in messages %}<<{{ m.role }}>>\n{{ m.content }}\n{% endfor %}{% if mood is defined %}({{ mood }})\n{% endif %}"
    "{% if add_generation_prompt %}<<assistant>>\n{% endif %}"
)
SYSTEM = "You take café orders."
ASKED = {"role": "user", "content": "two large lattes to go"}
DEFAULTS = ServingDefaults(
    system=SYSTEM, temperature=0.0, max_tokens=3, stop=("never said",), chat_template_kwargs={"mood": "calm"}
)


@pytest.fixture(scope="module")
def trained(server: Server, adapters: dict[str, Path], reference: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The prompt as training renders it with that template; the version is published, and a twin asked as the base is."""
    from lorarack.adapters.data import Message, Row
    from lorarack.adapters.data.messages import PromptOptions
    from lorarack.adapters.training.encode import encode_row

    folder = tmp_path_factory.mktemp("own") / "adapter"
    shutil.copytree(adapters["plain@2"], folder)
    server.registry.publish(folder, "asked", base=BASE)
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    server.registry.publish(folder, "asked", base=BASE, defaults=DEFAULTS)
    messages = (Message("system", SYSTEM), Message("user", ASKED["content"]))
    row = Row("ok", messages=messages, options=PromptOptions(chat_template_kwargs={"mood": "calm"}))
    before = reference.tokenizer.chat_template
    try:
        reference.tokenizer.chat_template = TEMPLATE
        return list(encode_row(row, reference.tokenizer).prompt)
    finally:
        reference.tokenizer.chat_template = before


def tokens(server: Server, model: str, messages: Sequence[dict[str, str]]) -> list[int]:
    found: list[int] = server.post("/tokenize", model=model, messages=list(messages)).json()["tokens"]
    return found


def test_every_route_serves_and_counts_the_trained_prompt(server: Server, trained: list[int], reference: Any) -> None:
    assert tokens(server, "asked@2", [ASKED]) == trained
    chat = server.post(
        "/v1/chat/completions", model="asked@2", messages=[ASKED], return_token_ids=True, ignore_eos=True
    )
    assert chat.status_code == 200, chat.text
    answer = chat.json()
    assert answer["prompt_token_ids"] == trained
    assert (answer["usage"]["completion_tokens"], answer["choices"][0]["finish_reason"]) == (3, "length")
    truth = reference.truth("plain@2", [*trained, *answer["choices"][0]["token_ids"]])
    assert tuple(answer["choices"][0]["token_ids"]) == truth.likeliest[len(trained) - 1 : -1], "its weights, greedily"
    messages = server.post("/v1/messages", model="asked@2", messages=[ASKED], max_tokens=1).json()
    counted = server.post("/v1/messages/count_tokens", model="asked@2", messages=[ASKED]).json()
    responses = server.post("/v1/responses", model="asked@2", input=ASKED["content"]).json()
    usages = [messages["usage"]["input_tokens"], counted["input_tokens"], responses["usage"]["input_tokens"]]
    assert usages == [len(trained)] * 3
    assert responses["usage"]["output_tokens"] <= 3


def test_others_are_asked_as_ever_and_a_request_has_the_last_word(server: Server, trained: list[int]) -> None:
    """The base and a version of the same weights in between; nothing of one prompt is in the cache of another."""
    base = tokens(server, BASE, [ASKED])
    assert base != trained
    assert tokens(server, "asked@1", [ASKED]) == base
    given = [{"role": "system", "content": "Speak plainly."}, ASKED]
    mine = server.post(
        "/tokenize", model="asked@2", messages=given, chat_template_kwargs={"mood": "glad"}, return_token_strs=True
    )
    text = "".join(mine.json()["token_strs"])
    assert "plainly" in text
    assert "glad" in text
    assert "calm" not in text
    refused = server.post("/v1/chat/completions", model="asked@2", messages=[ASKED], chat_template="{{ 1 }}")
    assert refused.status_code == 400
    assert "--trust-request-chat-template" in refused.text, "only the operator's templates are run"
    asked: dict[str, Any] = {"prompt": trained, "max_tokens": 2, "prompt_logprobs": 0, "return_token_ids": True}
    one, other, again = [server.complete(model, **asked)["choices"][0] for model in ("asked@1", "asked@2", "asked@1")]
    assert one["token_ids"] == other["token_ids"] == again["token_ids"], "the weights are the same"
    card = server.client.get("/v1/models/asked@2").json()["lorarack"]
    assert card["chat_template"].startswith("sha256:")
    assert card["defaults"].startswith("sha256:")
