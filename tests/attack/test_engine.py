"""A hostile publisher, and accidents with files, against the engine."""

import json
import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.attack.health import log_probabilities
from tests.system.server import Server, events
from tests.system.session_server import BASE

pytestmark = [pytest.mark.system, pytest.mark.torch]

#: Many blocks of the KV cache.
LONG = list(range(1000, 1300))
#: An engine that matched all patterns would be gone for 34 s on an idle machine, or for ever.
BLOCKED_SECONDS = 20


@pytest.fixture(scope="module")
def make(small_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    from tests.system.reference import make_adapter

    place = tmp_path_factory.mktemp("hostile")

    def made(name: str, strength: float, **config: Any) -> Path:
        return make_adapter(small_base, place / name, 8, 77, strength, **config)

    return made


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry in which something got past the checks of publishing, or that accepted it once."""
    from lorarack.registry.artifact import adapter_config, validate

    monkeypatch.setattr(validate, "_config_problems", lambda *_: [])
    monkeypatch.setattr(adapter_config, "_pattern_problems", lambda *_: [])
    monkeypatch.setattr(validate, "_number_problems", lambda *_: [])


def published(server: Server, folder: Path, name: str, **config: Any) -> str:
    if config:
        path = folder / "adapter_config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **config}))
    return server.registry.publish(folder, name, base=BASE).version.reference


@pytest.mark.parametrize(
    ("name", "strength", "alpha"), [("alpha", 0.1, 1e30), ("alpha-overflows", 0.1, 1e308), ("weights", 3e37, 16.0)]
)
def test_numbers_that_are_not_finite_hurt_their_caller_alone(
    attacked: Server, unchecked: None, make: Callable[..., Path], name: str, strength: float, alpha: float
) -> None:
    hostile = published(attacked, make(name, strength), name, lora_alpha=alpha)
    answer = attacked.post("/v1/completions", model=hostile, prompt=LONG, max_tokens=8, temperature=0)
    # Found by the probe at its first load; or the engine cannot even load it.
    assert answer.status_code == 422 or answer.status_code >= 500, answer.text
    said = answer.json()["error"]["message"]
    assert "not finite" in said or "overflow" in said
    for _ in range(2):
        again = attacked.post("/v1/completions", model=hostile, prompt="x", max_tokens=2)
        assert 400 <= again.status_code < 600
        assert "not finite" in again.text or "overflow" in again.text
    for model in (BASE, "plain@1", "plain@2"):  # they get the blocks that it had
        assert attacked.complete(model, LONG[1:], max_tokens=4)["choices"][0]["text"]


def test_a_stream_ends_with_an_error(attacked: Server, unchecked: None, make: Callable[..., Path]) -> None:
    hostile = published(attacked, make("streamed", 3e37), "streamed")
    answer = attacked.post("/v1/completions", model=hostile, prompt=LONG, max_tokens=8, stream=True)
    found = events(answer.text) if answer.status_code == 200 else [answer.json()]
    assert "not finite" in found[-1]["error"]["message"]
    assert not any(choice["text"] for event in found for choice in event.get("choices", []))


def test_patterns_without_end_stop_nobody(attacked: Server, unchecked: None, make: Callable[..., Path]) -> None:
    bomb = published(
        attacked, make("bomb", 0.1), "bomb", alpha_pattern={r"(.+)(.+)(.+)(.+)(.+)(.+)(.+)(.+)\3\4\5\6\7\8\9": 3.0}
    )
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(attacked.post, "/v1/completions", model=bomb, prompt="x", max_tokens=1)
        time.sleep(0.1)
        started = time.monotonic()
        attacked.complete(BASE, "Hello", max_tokens=2)
        assert time.monotonic() - started < BLOCKED_SECONDS
        assert "patterns" in asked.result().json()["error"]["message"]


def test_thousands_of_patterns_stop_nobody(attacked: Server, unchecked: None, make: Callable[..., Path]) -> None:
    patterns = {f"nothing.{number}.like.it": 3.0 for number in range(4990)}
    many = published(attacked, make("many", 0.1), "many", alpha_pattern=patterns)
    slowest = 0.0
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(attacked.post, "/v1/completions", model=many, prompt="x", max_tokens=1)
        while not asked.done():
            started = time.monotonic()
            attacked.complete(BASE, "Hello", max_tokens=1)
            slowest = max(slowest, time.monotonic() - started)
    assert slowest < BLOCKED_SECONDS
    assert asked.result().status_code in (200, 503), asked.result().text


def empty(cache: Path) -> None:
    shutil.rmtree(cache)


def cut_short(cache: Path) -> None:
    for file in cache.rglob("*.safetensors"):
        os.truncate(file, file.stat().st_size // 2)


def change(cache: Path) -> None:
    for file in cache.rglob("*.safetensors"):
        with file.open("r+b") as opened:
            opened.seek(-8, os.SEEK_END)
            opened.write(b"\xff" * 8)


def take_permissions(cache: Path) -> None:
    for file in cache.rglob("*.safetensors"):
        file.chmod(0)


@pytest.fixture(scope="module")
def published_answers(server: Server, adapters: dict[str, Path]) -> dict[str, list[float]]:
    """Before any accident, by adapter."""
    return {name: log_probabilities(server, name) for name in adapters}


@pytest.mark.parametrize("accident", [empty, cut_short, change, take_permissions])
def test_accidents_with_the_cache_while_more_adapters_than_slots_are_used(
    attacked: Server, published_answers: dict[str, list[float]], accident: Callable[[Path], None]
) -> None:
    """What was loaded needs the cache no more; what comes back into memory is what was published."""
    with ThreadPoolExecutor(4) as pool:
        running = [
            pool.submit(attacked.complete, name, "Once upon a time", max_tokens=40)
            for name in list(published_answers)[:4]
        ]
        time.sleep(0.2)
        accident(attacked.home / "cache" / "adapters")
        assert all(answer.result()["choices"][0]["text"] for answer in running)
    for _ in range(2):
        for name, expected in published_answers.items():
            assert log_probabilities(attacked, name) == pytest.approx(expected, abs=0.02)
