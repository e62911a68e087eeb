"""A live experiment under real traffic: users are split, say what they think of real answers, and the worse version is stopped."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from tests.system.server import Server

from lorarack.registry.experiment.values import Experiment

pytestmark = pytest.mark.system

PROMPTS = ("The capital of France is", "One two three four", "Water boils at", "Dear customer, thank you for")
REQUESTS = 160


@pytest.fixture
def experiment(server: Server) -> Iterator[Experiment]:
    """On plain@prod, which names version 2, between that and version 1."""
    experiments = server.registry.experiments
    begun = experiments.start(
        experiments.plan("plain", "prod", [("2", 50), ("1", 50)], margin=0.1, guards=["error_rate<0.2"])
    )
    time.sleep(1.5)  # servers follow within a second
    yield begun
    if experiments.status("plain", "prod").experiment.ended_at is None:
        experiments.stop("plain", "prod")


def text_of(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    text: str = answer.json()["choices"][0]["text"]
    return text


def ask(server: Server, model: str, prompt: str, user: str | None = None) -> httpx.Response:
    return server.post("/v1/completions", model=model, prompt=prompt, max_tokens=6, temperature=0, user=user)


def test_users_are_dealt_and_their_feedback_stops_the_worse_version(server: Server, experiment: Experiment) -> None:
    """Users like what version 2 says. Version 1 says something else to these questions, which makes it the worse one."""
    liked = {prompt: text_of(ask(server, "plain@2", prompt)) for prompt in PROMPTS}
    others = {prompt: text_of(ask(server, "plain@1", prompt)) for prompt in PROMPTS}
    prompts = [prompt for prompt in PROMPTS if liked[prompt] != others[prompt]]
    assert prompts

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
    # Until it was stopped each user had the arm that the salt says; now all have the reference.
    assert {user for user, arm in assigned if arm == "1"} <= {
        user for user, _ in assigned if experiment.assign(user).name == "1"
    }
    again = ask(server, "plain@prod", PROMPTS[0], next(user for user, arm in assigned if arm == "1"))
    assert again.headers["x-lorarack-arm"] == "2"


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
