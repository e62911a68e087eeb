"""Asking a real server on loopback: everything arrives, mixed, and every failure is one of ours."""

import threading
from typing import Any

import pytest
from tests.adapters.openai_stand_in import Said, openai_server

from lorarack.adapters.data import Message, PromptOptions, Row
from lorarack.adapters.evaluation.client import Question, ServerClient
from lorarack.registry.errors import (
    Conflict,
    LorarackError,
    NotAllowed,
    NotFound,
    NotServeable,
    RateLimited,
    Unavailable,
    UsageError,
)

CHAT = Row("out", messages=(Message("system", "s"), Message("user", "u")))
PLAIN = Row("out", prompt="once upon")


def test_a_conversation_goes_to_chat_and_a_prompt_to_completions_both_greedy() -> None:
    with openai_server(lambda _: Said("fine words", headers={"x-lorarack-digest": "sha256:1"})) as server:
        client = ServerClient(f"{server.url}/v1/", api_key="secret", concurrency=1, max_tokens=7)
        replies = client.ask([Question("a@1", CHAT), Question("base", PLAIN)])
    assert server.paths == ["/v1/chat/completions", "/v1/completions"]
    assert server.asked[0]["messages"] == [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    assert server.asked[0]["max_completion_tokens"] == 7
    assert (server.asked[1]["prompt"], server.asked[1]["max_tokens"]) == ("once upon", 7)
    assert [body["temperature"] for body in server.asked] == [0, 0]
    assert server.keys == ["Bearer secret"] * 2
    assert [(r.text, r.tokens, r.model, r.digest) for r in replies] == [
        ("fine words", 2, "a@1", "sha256:1"),
        ("fine words", 2, "base", "sha256:1"),
    ]


def test_many_are_under_way_at_a_time_and_replies_keep_the_order() -> None:
    """All of ``concurrency`` arrive before the first is answered, so that one batch of an engine could hold them."""
    together = threading.Barrier(8)

    def answer(body: dict[str, Any]) -> Said:
        together.wait(timeout=20)
        return Said(body["prompt"], finish="length")

    counts: list[int] = []
    with openai_server(answer) as server:
        questions = [Question(f"a@{n % 3 + 1}", Row("x", prompt=str(n))) for n in range(16)]
        replies = ServerClient(server.url, concurrency=8).ask(questions, counts.append)
    assert [reply.text for reply in replies] == [str(n) for n in range(16)]
    assert [reply.model for reply in replies] == [question.model for question in questions]
    assert all(reply.cut_off for reply in replies)
    assert server.most_at_once == 8
    assert counts == list(range(1, 17))


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, UsageError),
        (401, NotAllowed),
        (404, NotFound),
        (409, Conflict),
        (410, Conflict),
        (422, NotServeable),
        (429, RateLimited),
        (500, Unavailable),
        (503, Unavailable),
        (418, Unavailable),
    ],
)
def test_a_refusal_becomes_our_error_with_the_servers_own_words(status: int, kind: type[LorarackError]) -> None:
    with openai_server(lambda _: Said("the reason", status=status)) as server, pytest.raises(kind) as caught:
        ServerClient(server.url, concurrency=4, pauses=(0.01, 0.01)).ask([Question("a@1", CHAT)] * 40)
    assert type(caught.value) is kind
    if status != 401:
        assert "a@1" in caught.value.message
        assert "the reason" in caught.value.message
    assert len(server.asked) < 40, "the rest is given up after the first failure"


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        b"{}",
        b'{"choices": []}',
        b"data: []",
        b'data: {"choices": 7}',
        b'data: {"choices": [{"text": 1}]}',
    ],
)
def test_what_is_no_openai_server_is_said_to_be_none(body: bytes) -> None:
    with openai_server(lambda _: Said(body=body)) as server, pytest.raises(Unavailable, match="does not speak"):
        ServerClient(server.url).ask([Question("a@1", PLAIN)])


def test_an_answer_that_breaks_off_is_asked_for_again() -> None:
    """A stream that ends without a reason is half an answer; scored as a whole one it would be wrong."""
    half = b'data: {"model": "a@1", "choices": [{"index": 0, "text": "once", "finish_reason": null}]}\n\n'
    said = [Said(body=half), Said("once upon a time")]
    with openai_server(lambda _: said.pop(0)) as server:
        (reply,) = ServerClient(server.url, pauses=(0.01,)).ask([Question("a@1", PLAIN)])
    assert reply.text == "once upon a time"
    with openai_server(lambda _: Said(body=half)) as server, pytest.raises(Unavailable, match="broke off"):
        ServerClient(server.url, pauses=()).ask([Question("a@1", PLAIN)])


def test_the_times_of_the_first_token_and_of_the_next_ones_are_measured() -> None:
    with openai_server(lambda body: Said("one two three" if body["prompt"] == "3" else "one")) as server:
        three, one = ServerClient(server.url).ask([Question("a@1", Row("x", prompt=n)) for n in "31"])
    assert three.first_token is not None
    assert three.between_tokens is not None
    assert 0 < three.first_token < 20
    assert 0 <= three.between_tokens < 20
    assert one.between_tokens is None, "there is no time between one token"


def test_an_answer_without_text_is_an_empty_answer() -> None:
    choice = b'{"delta": {"content": null}, "finish_reason": "stop"}'
    body = b'data: {"model": "a@1", "choices": [' + choice + b"]}\n\ndata: [DONE]\n\n"
    with openai_server(lambda _: Said(body=body)) as server:
        (reply,) = ServerClient(server.url).ask([Question("a@1", CHAT)])
    assert reply.text == ""


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://no.such.host.invalid"])
def test_where_no_server_answers_the_sentence_says_how_to_start_one(url: str) -> None:
    with pytest.raises(Unavailable, match="lorarack serve"):
        ServerClient(url, pauses=()).ask([Question("a@1", PLAIN)])


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "nonsense", "http://["])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="is not an address"):
        ServerClient(url).ask([Question("a@1", PLAIN)])


@pytest.mark.parametrize("failure", [Said("busy", status=503), Said("slow down", status=429), Said(hang_up=True)])
def test_a_request_that_fails_for_a_moment_is_tried_again_and_the_others_are_kept(failure: Said) -> None:
    failed: set[str] = set()

    def answer(body: dict[str, Any]) -> Said:
        if body["prompt"] not in failed:
            failed.add(body["prompt"])
            return failure
        return Said(body["prompt"])

    kept: dict[int, str] = {}
    with openai_server(answer) as server:
        client = ServerClient(server.url, concurrency=4, pauses=(0.01,))
        questions = [Question("a@1", Row("x", prompt=str(n))) for n in range(8)]
        replies = client.ask(questions, keep=lambda index, reply: kept.update({index: reply.text}))
    assert [reply.text for reply in replies] == [kept[index] for index in range(8)] == [str(n) for n in range(8)]
    assert len(server.asked) == 16


def test_what_was_answered_before_a_failure_is_kept() -> None:
    kept: dict[int, str] = {}
    questions = [Question("a@1", Row("x", prompt=str(n))) for n in range(8)]
    with (
        openai_server(lambda body: Said(body["prompt"], status=200 if int(body["prompt"]) < 5 else 404)) as server,
        pytest.raises(NotFound),
    ):
        ServerClient(server.url, concurrency=1).ask(
            questions, keep=lambda index, reply: kept.update({index: reply.text})
        )
    assert kept == {n: str(n) for n in range(5)}


def test_a_server_that_breaks_off_is_unavailable() -> None:
    with openai_server(lambda _: Said(body=b"", hang_up=True)) as server, pytest.raises(Unavailable, match="broke off"):
        ServerClient(server.url, pauses=()).ask([Question("a@1", PLAIN)])


def test_what_the_row_gives_the_template_is_asked_with_it() -> None:
    """Tools, documents and template arguments; with tools the answer stays a text, whatever parser the server has."""
    tool = {"type": "function", "function": {"name": "f"}}
    options = PromptOptions((tool,), {"mood": "x"}, ({"text": "d"},))
    with openai_server(lambda _: Said("fine")) as server:
        ServerClient(server.url).ask([Question("a@1", Row("out", messages=CHAT.messages, options=options))])
    (body,) = server.asked
    assert (body["tools"], body["chat_template_kwargs"], body["documents"]) == ([tool], {"mood": "x"}, [{"text": "d"}])
    assert body["tool_choice"] == "none"
