"""The registry changes while the server runs, and the server follows: at once, whole, or with the reason why not."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.system.server import Server
from tests.system.session_server import BASE
from tests.tiny import tiny_adapter, tiny_base

from lorarack.registry.errors import Conflict

pytestmark = [pytest.mark.system, pytest.mark.torch]

PATIENCE = 20.0


@pytest.fixture(scope="module")
def make(small_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    from tests.system.reference import make_adapter

    place = tmp_path_factory.mktemp("late")

    def made(name: str, rank: int, seed: int, **config: Any) -> Path:
        return make_adapter(small_base, place / name, rank, seed, 0.1, **config)

    return made


def models(server: Server) -> set[str]:
    return {card["id"] for card in server.client.get("/v1/models").json()["data"]}


def until(true: Any) -> None:
    """Wait for it. The server looks four times a second; the time allowed here is for machines that are busy otherwise."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, f"not within {PATIENCE} s"
        time.sleep(0.05)


def can_be_deleted(server: Server, reference: str) -> bool:
    """Delete it, if nothing holds it."""
    try:
        server.registry.delete(reference)
    except Conflict:
        return False
    return True


def test_published_moved_deleted(server: Server, make: Any) -> None:
    """A version answers the moment it is published; an alias moved elsewhere is soon seen; deleted is gone.

    What the server has loaded is held, also what is asked for by its number alone. It goes once it is archived, which makes
    the server drop it.
    """
    assert server.post("/v1/completions", model="late", prompt="x").status_code == 404
    server.registry.publish(make("one", 4, 10), "late", base=BASE)
    assert server.complete("late", "Hello", max_tokens=2)["model"] == "late@1"
    server.registry.publish(make("two", 8, 11), "late", base=BASE)
    assert server.complete("late@2", "Hello", max_tokens=2)["model"] == "late@2"
    assert server.complete("late", "Hello", max_tokens=2)["model"] == "late@1"
    server.registry.set_alias("late", "default", 2)
    until(lambda: server.complete("late", "Hello", max_tokens=1)["model"] == "late@2")
    assert server.complete("late@1", "Hello", max_tokens=2)["model"] == "late@1"
    time.sleep(3)  # the server writes twice a second what it has loaded
    with pytest.raises(Conflict, match="late@1 is in use by"):
        server.registry.delete("late@1")
    server.registry.archive("late@1", "worse than the other")
    until(lambda: server.post("/v1/completions", model="late@1", prompt="x", max_tokens=1).status_code == 410)
    until(lambda: can_be_deleted(server, "late@1"))
    until(lambda: server.post("/v1/completions", model="late@1", prompt="x", max_tokens=1).status_code == 404)
    until(lambda: "late@1" not in models(server))
    assert server.complete("late", "Hello", max_tokens=1)["model"] == "late@2"


def test_what_this_server_cannot_serve_whole_is_refused_with_the_remedy(
    server: Server, make: Any, tmp_path: Path
) -> None:
    """Too large a rank, and another base: never served in part, never in the list."""
    server.registry.publish(make("large", 32, 12), "large", base=BASE)
    server.registry.add_base(str(tiny_base(tmp_path / "tiny-base")), "tiny")
    server.registry.publish(tiny_adapter(tmp_path / "tiny"), "foreign", base="tiny")
    refused = server.post("/v1/chat/completions", model="large", messages=[{"role": "user", "content": "x"}])
    assert refused.status_code == 422
    assert refused.json()["error"]["code"] == "not_serveable"
    assert "--max-lora-rank 32" in refused.json()["error"]["message"]
    refused = server.post("/v1/completions", model="foreign", prompt="x")
    assert refused.status_code == 422
    assert "lorarack serve tiny" in refused.json()["error"]["message"]
    assert not {"large", "foreign"} & models(server)


def test_more_adapters_than_slots_all_answer(server: Server, adapters: dict[str, Path]) -> None:
    """Six adapters and the base, three slots, four places in host memory, asked for all at once and again and again."""
    asked = [model for _ in range(4) for model in [*adapters, BASE]]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda model: server.complete(model, "The", max_tokens=3)["model"], asked))
    assert answers == asked


def test_many_first_requests_for_one_version_load_it_once(server: Server, make: Any) -> None:
    server.registry.publish(make("rush", 4, 13), "rush", base=BASE)
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: server.complete("rush", "Hi", max_tokens=1)["model"], range(24)))
    assert set(answers) == {"rush@1"}
    assert server.log.read_text(errors="replace").count("Loaded rush@1") == 1


def test_a_damaged_registry_file_is_an_error_for_that_version_alone(server: Server, make: Any) -> None:
    """The engine never sees the file, and everybody else is answered."""
    version = server.registry.publish(make("broken", 4, 14), "broken", base=BASE).version
    digest = next(file.digest for file in version.files if file.name == "adapter_model.safetensors").removeprefix(
        "sha256:"
    )
    blob = server.home / "blobs" / "sha256" / digest[:2] / digest
    blob.chmod(0o644)
    blob.write_bytes(blob.read_bytes()[:-4] + b"\0\0\0\0")
    refused = server.post("/v1/completions", model="broken", prompt="x")
    assert refused.status_code == 410
    assert refused.json()["error"]["code"] == "damaged"
    assert server.complete("strong", "Hello", max_tokens=1)["model"] == "strong@1"
