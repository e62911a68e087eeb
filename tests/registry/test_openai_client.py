"""The one client of model servers: what it sends, what it does not, and what each failure becomes."""

import asyncio
import subprocess
import sys

import pytest
from tests.adapters.openai_stand_in import Said, openai_server

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
from lorarack.registry.openai_client import ModelServer


def complete(server: ModelServer) -> str:
    with server.client() as client, server.errors("a@1: "):
        return client.completions.create(model="a@1", prompt="p").choices[0].text


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, UsageError), (401, NotAllowed), (403, NotAllowed), (404, NotFound), (409, Conflict), (410, Conflict),
        (413, UsageError), (415, UsageError), (418, Unavailable), (422, NotServeable), (429, RateLimited),
        (500, Unavailable), (503, Unavailable),
    ],
)  # fmt: skip
def test_a_status_is_one_error_and_is_asked_for_once(status: int, kind: type[LorarackError]) -> None:
    with openai_server(lambda _: Said("the reason", status=status)) as running, pytest.raises(kind) as caught:
        complete(ModelServer(running.url))
    assert type(caught.value) is kind
    assert len(running.asked) == 1
    if status != 401:
        assert caught.value.message == "a@1: the reason"


@pytest.mark.parametrize("key", [None, "secret"])
def test_nothing_of_openais_variables_is_sent(key: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key for api.openai.com is no business of another server."""
    for name in ("API_KEY", "ADMIN_KEY", "ORG_ID", "PROJECT_ID", "BASE_URL"):
        monkeypatch.setenv(f"OPENAI_{name}", "http://not.ours.invalid")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "authorization: Bearer not-ours\nx-other: not-ours")
    with openai_server(lambda _: Said("fine")) as running:
        assert complete(ModelServer(running.url, key)) == "fine"
    assert running.keys == [f"Bearer {key}" if key else None]
    assert not [value for value in running.headers[0].values() if "not-ours" in value or "not.ours" in value]


def test_a_proxy_is_not_asked_for_an_address_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    with openai_server(lambda _: Said("fine")) as running:
        assert complete(ModelServer(f"{running.url}/v1/")) == "fine"


def test_several_at_a_time() -> None:
    async def both(server: ModelServer) -> list[str]:
        async with server.async_client(2) as client:
            asked = [client.completions.create(model="a@1", prompt=prompt) for prompt in ("1", "2")]
            return [answer.choices[0].text for answer in await asyncio.gather(*asked)]

    with openai_server(lambda body: Said(body["prompt"])) as running:
        assert asyncio.run(both(ModelServer(running.url, "secret"))) == ["1", "2"]
    assert running.keys == ["Bearer secret"] * 2


def test_the_key_is_not_shown() -> None:
    assert "secret" not in repr(ModelServer("http://127.0.0.1:8000", "secret"))


def test_it_is_imported_when_it_is_used() -> None:
    """OpenAI's client takes half a second to import, and most commands ask no server."""
    code = "import sys, lorarack.registry.openai_client; sys.exit('openai' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
