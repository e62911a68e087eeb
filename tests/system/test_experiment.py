"""A live experiment under real traffic: users are split, say what they think of real answers, and the worse version is stopped."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from tests.system.server import KEY, Server, events

from lorarack.adapters import EvaluationServer, Row, Rows, compare
from lorarack.registry.experiment.observed import ExperimentStatus
from lorarack.registry.experiment.values import Experiment

pytestmark = pytest.mark.system

PROMPTS = (
    "The capital of France is", "One two three four", "Water boils at", "Dear customer, thank you for", "Two plus two is",
    "The opposite of hot is", "A week has", "The colour of the sky is", "Dogs say", "The sun rises in the",
)  # fmt: skip
REQUESTS = 80
TOKENS = 12


@pytest.fixture
def experiment(server: Server, request: pytest.FixtureRequest) -> Iterator[Experiment]:
    """On plain@prod, which names version 2, between that and version 1; its parameter: whether with shadows."""
    experiments = server.registry.experiments
    arms, guards = [("2", 50.0), ("1", 50.0)], ["error_rate<0.2"]
    begun = experiments.start(experiments.plan("plain", "prod", arms, margin=0.1, guards=guards, shadow=request.param))
    time.sleep(1.5)  # servers follow within a second
    yield begun
    if experiments.status("plain", "prod").experiment.ended_at is None:
        experiments.stop("plain", "prod")


def text_of(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    text: str = answer.json()["choices"][0]["text"]
    return text


def ask(server: Server, model: str, prompt: object, user: str | None = None) -> httpx.Response:
    return server.post("/v1/completions", model=model, prompt=prompt, max_tokens=TOKENS, temperature=0, user=user)


@pytest.mark.parametrize("experiment", [False], indirect=True)
def test_users_are_dealt_and_their_feedback_ends_in_the_verdict_of_the_offline_comparison(
    server: Server, experiment: Experiment
) -> None:
    """Users like what version 2 says. Version 1 says something else to these questions, which makes it the worse one."""
    liked = {prompt: text_of(ask(server, "plain@2", prompt)) for prompt in PROMPTS}
    others = {prompt: text_of(ask(server, "plain@1", prompt)) for prompt in PROMPTS}
    prompts = [prompt for prompt in PROMPTS if liked[prompt] != others[prompt]]
    rows = Rows("liked", tuple(Row(liked[prompt], prompt=prompt) for prompt in prompts))
    evaluation = EvaluationServer(server.url, KEY, max_tokens=TOKENS)
    offline = compare(server.registry, ["plain@1", "plain@2"], rows, score="exact_match", margin=0.1, server=evaluation)
    assert (offline.verdict.recommended, offline.verdict.of("plain@1").against_best.answer) == ("plain@2", "worse"), (
        offline
    )

    def use(number: int) -> tuple[str, str]:
        prompt, user = prompts[number % len(prompts)], f"user {number}"
        answer = ask(server, "plain@prod", prompt, user)
        good = text_of(answer) == liked[prompt]
        said = server.post("/v1/feedback", id=answer.json()["id"], metric="thumbs", value=int(good))
        assert said.status_code == 200, said.text
        assert said.json()["arm"] == answer.headers["x-lorarack-arm"]
        assert answer.headers["x-lorarack-version"] == answer.json()["model"] == f"plain@{said.json()['arm']}"
        return user, said.json()["arm"]

    with ThreadPoolExecutor(8) as pool:
        assigned = list(pool.map(use, range(REQUESTS)))
    time.sleep(1.0)  # at most this is unwritten, and unseen
    status = server.registry.experiments.status("plain", "prod")
    assert sum(tally.requests for tally in status.tallies.values()) == REQUESTS
    assert not status.mismatch
    challenger = status.experiment.arms[1]
    assert (challenger.state, challenger.stopped is None) == ("worse", False)
    assert status.recommended == "2"
    assert f"plain@{status.recommended}" == offline.verdict.recommended
    # Until it was stopped each user had the arm that the salt says; now all have the reference.
    assert {user for user, arm in assigned if arm == "1"} <= {
        user for user, _ in assigned if experiment.assign(user).name == "1"
    }
    again = ask(server, "plain@prod", PROMPTS[0], next(user for user, arm in assigned if arm == "1"))
    assert again.headers["x-lorarack-arm"] == "2"


@pytest.mark.parametrize("experiment", [False], indirect=True)
def test_feedback_is_only_taken_from_the_key_that_was_answered(server: Server, experiment: Experiment) -> None:
    """Keys of the registry and of the start alike; without a key nothing is taken."""
    secret = server.registry.keys.add("app", adapters=["plain"]).secret
    time.sleep(1.5)
    with httpx.Client(base_url=server.url, headers={"authorization": f"Bearer {secret}"}, timeout=300) as app:
        body = {"model": "plain@prod", "prompt": PROMPTS[0], "max_tokens": 1}
        answers = [app.post("/v1/completions", json=body) for _ in range(3)]
        assert len({answer.headers["x-lorarack-arm"] for answer in answers}) == 1  # the key's own
        said = {"id": answers[0].json()["id"], "value": 1}
        assert server.client.post("/v1/feedback", json=said).status_code == 404
        assert httpx.post(f"{server.url}/v1/feedback", json=said).status_code == 401
        assert app.post("/v1/feedback", json=said).status_code == 200


def settled(server: Server, requests: int) -> ExperimentStatus:
    """Once every request is recorded, and what became of its shadow."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        status = server.registry.experiments.status("plain", "prod")
        if sum(tally.requests for tally in status.tallies.values()) == requests and status.shadows_waiting == 0:
            return status
        time.sleep(0.2)
    raise AssertionError(f"{status.shadow} of {requests}: {status.shadows_waiting} waiting")


@pytest.mark.parametrize("experiment", [True], indirect=True)
def test_the_other_arm_answers_in_shadow_and_every_request_is_counted(server: Server, experiment: Experiment) -> None:
    """What is recorded is what the other version says when it is asked, by greedy and other requests, streamed or not."""
    asked: dict[str, dict[str, Any]] = {}  # what each answer was the answer to
    lengths = range(1, 9)

    def complete(number: int) -> None:
        body = {
            "prompt": PROMPTS[number % len(PROMPTS)],
            "max_tokens": lengths[number % len(lengths)],
            "temperature": 0,
        }
        answer = server.post("/v1/completions", model="plain@prod", user=f"user {number}", **body)
        asked[answer.json()["id"]] = body

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(complete, range(24)))
    messages = [{"role": "user", "content": "What is the capital of France?"}]
    chat = {"messages": messages, "max_tokens": 8, "temperature": 0}
    streamed = server.post("/v1/chat/completions", model="plain@prod", stream=True, user="a", **chat)
    asked[events(streamed.text)[0]["id"]] = chat
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    penalised = {"prompt": PROMPTS[0], "max_tokens": 8, "temperature": 0, "frequency_penalty": 0.5}
    asked[server.post("/v1/completions", model="plain@prod", user="b", **penalised).json()["id"]] = penalised
    for body in ({"temperature": 1.0}, {"temperature": 0, "response_format": schema}, {"temperature": 1.0, "n": 2}):
        given = server.post(
            "/v1/chat/completions", model="plain@prod", messages=messages, max_tokens=8, user="c", **body
        )
        assert given.status_code == 200, given.text
    assert ask(server, "plain@prod", [], "d").status_code == 400
    with server.client.stream(
        "POST", "/v1/completions", json={"model": "plain@prod", "prompt": "a", "max_tokens": 400, "stream": True}
    ) as left:
        next(left.iter_bytes())

    status = settled(server, 24 + 2 + 3 + 1 + 1)
    assert status.shadow.skipped == {"form": 1, "failed": 1, "aborted": 1}
    assert 0 < status.shadow.same < status.shadow.recorded == 28
    shown = {each.completion: each for each in server.registry.experiments.differing("plain", "prod", 100)}
    assert len(shown) == status.shadow.different

    def texts_of(body: dict[str, Any]) -> dict[str, str]:
        path = "/v1/chat/completions" if "messages" in body else "/v1/completions"
        return {arm: said(server.post(path, model=f"plain@{arm}", **body)) for arm in "12"}

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(texts_of, asked.values()))
    for completion, texts in zip(asked, answers, strict=True):
        found = shown.get(completion)
        assert (found is None) == (texts["1"] == texts["2"]), texts
        if found is not None:
            assert {found.arm: found.text, found.other: found.shadow_text} == texts


def said(answer: httpx.Response) -> str:
    choice = answer.json()["choices"][0]
    text: str = choice["text"] if "text" in choice else choice["message"]["content"]
    return text
