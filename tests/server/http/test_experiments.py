"""A live experiment behind the model resolver: who gets which arm, what is recorded, how feedback is taken, what guards do."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import httpx
import pytest
from fastapi import FastAPI
from tests.server.http.echo import client_of
from tests.server.values import RecordingEngine
from tests.tiny import tiny_adapter, tiny_base

from lorarack.registry import Registry, Version, open_registry
from lorarack.registry.errors import EngineError
from lorarack.registry.experiment.shadow import SkipReason
from lorarack.registry.experiment.values import Experiment
from lorarack.server.app_state import AppState
from lorarack.server.caller import Caller
from lorarack.server.experiment_recorder import ExperimentRecorder
from lorarack.server.http.asgi import App, Receive, Scope, Send, send_json, with_caller
from lorarack.server.http.feedback import make_feedback_router
from lorarack.server.http.model_resolver import ModelResolverMiddleware
from lorarack.server.limits import Limits
from lorarack.server.reference_resolver import ReferenceResolver
from lorarack.server.residency import Residency

CHAT = "/v1/chat/completions"


class World:
    """A server over support@1 (prod), support@2, and support@3 that it cannot hold; ``failing`` versions answer with 500."""

    def __init__(self, registry: Registry, fingerprint: str) -> None:
        self.registry = registry
        self.resolver = ReferenceResolver(registry, base_names=("tiny",))
        self.recorder = ExperimentRecorder(registry.experiments, self.resolver.refresh)
        self.failing: set[str] = set()
        self.engine = RecordingEngine()
        self.engine.delay = 0
        self.caller: Caller | None = None
        self._served = 0

        def copy_of(version: Version) -> IO[bytes]:
            return BytesIO(version.digest.encode())

        self.residency = Residency(self.engine, copy_of, Limits("tiny", fingerprint, 16))
        self.state = AppState.build(frozenset({"tiny"}), self.resolver, self.residency, experiments=self.recorder)

    @property
    def app(self) -> App:
        feedback = FastAPI()
        feedback.include_router(make_feedback_router(lambda: self.state))
        models = ModelResolverMiddleware(self._answer, lambda: self.state)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            scope = with_caller(scope, self.caller) if self.caller else scope
            await (feedback if scope["path"] == "/v1/feedback" else models)(scope, receive, send)

        return app

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        model = json.loads((await receive())["body"])["model"]
        self._served += 1
        if model in self.failing:
            await send_json(send, 500, {"error": {"message": "boom"}})
        else:
            usage = {"prompt_tokens": 3, "completion_tokens": 5}
            await send_json(send, 200, {"id": f"chatcmpl-{self._served}", "model": model, "usage": usage})

    async def begin(self, *arms: tuple[str, float], **more: Any) -> Experiment:
        experiments = self.registry.experiments
        begun = experiments.start(experiments.plan("support", "prod", arms or (("1", 50), ("2", 50)), **more))
        await self.resolver.refresh()
        return begun


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    with open_registry(tmp_path / "home") as registry:
        base = registry.add_base(str(tiny_base(tmp_path / "base")), "tiny")
        for seed, rank in enumerate((4, 8, 32), 1):
            registry.publish(tiny_adapter(tmp_path / f"in{seed}", rank=rank, seed=seed), "support", base="tiny")
        registry.set_alias("support", "prod", 1)
        made = World(registry, base.fingerprint)
        await made.resolver.refresh()
        yield made


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(world.app) as made:
        yield made


async def ask(client: httpx.AsyncClient, model: str = "support@prod", **more: Any) -> httpx.Response:
    headers = more.pop("headers", {})
    return await client.post(CHAT, json={"model": model, "messages": [], **more}, headers=headers)


async def test_an_answer_names_its_arm_and_a_user_keeps_it(world: World, client: httpx.AsyncClient) -> None:
    experiment = await world.begin()
    arms = Counter[str]()
    for number in range(40):
        user = f"user {number}"
        answers = [await ask(client, user=user), await ask(client, safety_identifier=user)]
        answers.append(await ask(client, headers={"x-lorarack-user": user}))
        arm = experiment.assign(user).name
        for answer in answers:
            assert answer.headers["x-lorarack-arm"] == arm
            assert answer.headers["x-lorarack-version"] == answer.json()["model"] == f"support@{arm}"
        arms[arm] += 1
    assert set(arms) == {"1", "2"}


async def test_what_names_no_user_is_assigned_by_its_key_and_without_one_request_by_request(
    world: World, client: httpx.AsyncClient
) -> None:
    await world.begin()
    anonymous = {(await ask(client)).headers["x-lorarack-arm"] for _ in range(40)}
    assert anonymous == {"1", "2"}
    world.caller = Caller("team")
    assert len({(await ask(client)).headers["x-lorarack-arm"] for _ in range(10)}) == 1


@pytest.mark.parametrize("model", ["support", "support@1", "support@r8", "tiny", "support@latest"])
async def test_other_names_have_no_arm(model: str, world: World, client: httpx.AsyncClient) -> None:
    await world.begin()
    answer = await ask(client, model.replace("latest", "2"))
    assert answer.status_code == 200
    assert "x-lorarack-arm" not in answer.headers


async def test_the_reference_answers_where_an_arm_cannot_be_served_here(
    world: World, client: httpx.AsyncClient
) -> None:
    experiment = await world.begin(("1", 50), ("3", 50))
    users = [f"user {number}" for number in range(20)]
    answers = {user: await ask(client, user=user) for user in users}
    assert {answer.headers["x-lorarack-version"] for answer in answers.values()} == {"support@1"}
    assert [user for user in users if "x-lorarack-arm" in answers[user].headers] == [
        user for user in users if experiment.assign(user).name == "1"
    ]


async def test_why_a_request_has_no_shadow(world: World, client: httpx.AsyncClient, tmp_path: Path) -> None:
    async def skipped_of(*arms: tuple[str, float]) -> dict[SkipReason, int]:
        await world.begin(*arms)
        await ask(client, user="ann")
        await world.recorder.flush()
        status = world.registry.experiments.status("support", "prod")
        assert status.shadows_waiting == 0
        world.registry.experiments.stop("support", "prod")
        return dict(status.shadow.skipped)

    (folder := tiny_adapter(tmp_path / "own", rank=4, seed=9)).joinpath("chat_template.jinja").write_text(
        "{{ messages }}"
    )
    own = world.registry.publish(folder, "support", base="tiny").version.number
    assert await skipped_of(("1", 99.9), ("3", 0.1)) == {"no_other_arm": 1}
    assert await skipped_of(("1", 50), (str(own), 50)) == {"other_prompt": 1}
    assert await skipped_of(("1", 50), ("2", 50)) == {"form": 1}
    world.residency.refuse(world.registry.get_version("support@2"), EngineError("no"), 600)
    assert await skipped_of(("1", 0.1), ("2", 99.9)) == {"failed": 1}


async def test_every_answer_is_recorded_within_a_flush(world: World, client: httpx.AsyncClient) -> None:
    experiment = await world.begin()
    for number in range(30):
        await ask(client, user=f"user {number}")
    await world.recorder.flush()
    status = world.registry.experiments.status("support", "prod")
    assert sum(tally.requests for tally in status.tallies.values()) == 30
    assert status.callers == Counter(experiment.assign(f"user {number}").name for number in range(30))
    assert all(set(tally.latencies) >= {"e2e", "ttft"} for tally in status.tallies.values())


async def test_feedback_is_taken_once(world: World, client: httpx.AsyncClient) -> None:
    """Also right after the answer, before it is written."""
    await world.begin()
    answer = await ask(client, user="ann")
    said = {"id": answer.json()["id"], "metric": "thumbs", "value": 1}
    first = await client.post("/v1/feedback", json=said)
    assert first.status_code == 200
    assert first.json() == {**said, "experiment": 1, "arm": answer.headers["x-lorarack-arm"]}
    assert (await client.post("/v1/feedback", json=said)).json() == first.json()
    assert (await client.post("/v1/feedback", json={**said, "value": False})).status_code == 409
    tallies = world.registry.experiments.status("support", "prod").tallies
    assert sum(tally.scores.count for tally in tallies.values()) == 1


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"id": "chatcmpl-unknown", "value": 1}, 404, "unknown_completion"),
        ({"id": "chatcmpl-1", "metric": "stars", "value": 1}, 409, "other_metric"),
        ({"id": "chatcmpl-1", "value": 0.5}, 400, "bad_value"),
        ({"id": "chatcmpl-1", "value": "good"}, 400, "bad_value"),
        ({"id": "chatcmpl-1"}, 400, "bad_value"),
        ({"id": "chatcmpl-1", "metric": 3, "value": 1}, 400, "bad_request"),
        ({"value": 1}, 400, "bad_request"),
        ({"id": "x" * 300, "value": 1}, 400, "bad_request"),
        ({"id": "a\0b", "value": 1}, 400, "bad_request"),
        ([1], 400, "bad_request"),
    ],
)
async def test_bad_feedback_gets_one_sentence_and_counts_nothing(
    body: Any, status: int, code: str, world: World, client: httpx.AsyncClient
) -> None:
    await world.begin()
    await ask(client, user="ann")
    answer = await client.post("/v1/feedback", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.json()["error"]["message"].endswith((".", "}."))
    tallies = world.registry.experiments.status("support", "prod").tallies
    assert sum(tally.scores.count for tally in tallies.values()) == 0


async def test_feedback_on_what_another_key_was_answered_is_unknown(world: World, client: httpx.AsyncClient) -> None:
    await world.begin()
    world.caller = Caller("team")
    completion = (await ask(client)).json()["id"]
    world.caller = Caller("others")
    refused = await client.post("/v1/feedback", json={"id": completion, "value": 1})
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "unknown_completion")
    world.caller = Caller("team")
    assert (await client.post("/v1/feedback", json={"id": completion, "value": 1})).status_code == 200


@pytest.mark.parametrize("how", ["answers", "loading"])
async def test_a_guard_stops_a_failing_arm_within_a_second_and_its_users_get_the_reference(
    how: str, world: World, client: httpx.AsyncClient
) -> None:
    """Whether the engine fails its requests, or would not take its version."""
    experiment = await world.begin(guards=["error_rate<0.05"])
    users = [f"user {number}" for number in range(60) if experiment.assign(f"user {number}").name == "2"]
    if how == "answers":
        world.failing.add("support@2")
    else:
        version = world.registry.get_version("support@2")
        world.residency.refuse(version, EngineError("no"), 600)
    keeping = asyncio.create_task(world.recorder.keep())
    began = crossed = time.monotonic()
    while time.monotonic() < began + 20:
        answer = await ask(client, user=users[0])
        if answer.status_code == 200:
            break
        await asyncio.sleep(0.01)  # nothing here waits for a network
        failed = sum(tally.errors for tally in world.registry.experiments.status("support", "prod").tallies.values())
        crossed = time.monotonic() if failed < 8 else crossed
    assert answer.headers["x-lorarack-arm"] == "1"
    assert time.monotonic() - crossed < 5  # a second on a machine of its own
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    stopped = next(event for event in world.registry.events() if event.kind == "experiment_arm_stopped")
    assert "guard error_rate<0.05" in str(stopped.detail["reason"])


async def test_what_is_pending_is_written_when_the_server_ends(world: World, client: httpx.AsyncClient) -> None:
    await world.begin()
    keeping = asyncio.create_task(world.recorder.keep(seconds=600))
    await ask(client, user="ann")
    await asyncio.sleep(0)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    tallies = world.registry.experiments.status("support", "prod").tallies
    assert sum(tally.requests for tally in tallies.values()) == 1


async def test_nothing_is_lost_while_the_catalog_cannot_be_written(
    world: World, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lorarack.registry.errors import StoreError

    def refuse(*_: object, **__: object) -> None:
        raise StoreError("The registry is busy.")

    await world.begin()
    await ask(client, user="ann")
    with monkeypatch.context() as patched:
        patched.setattr("lorarack.registry.catalog.experiment_answers.record", refuse)
        with pytest.raises(StoreError):
            await world.recorder.flush()
    await world.recorder.flush()
    tallies = world.registry.experiments.status("support", "prod").tallies
    assert sum(tally.requests for tally in tallies.values()) == 1


async def test_an_ended_experiment_deals_no_more(world: World, client: httpx.AsyncClient) -> None:
    await world.begin()
    world.registry.experiments.promote("support", "prod", "2", force=True)
    await world.resolver.refresh()
    answer = await ask(client, user="ann")
    assert answer.headers["x-lorarack-version"] == "support@2"
    assert "x-lorarack-arm" not in answer.headers
