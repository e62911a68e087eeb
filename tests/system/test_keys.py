"""A running server follows the keys of its registry: a new one opens, a revoked one does not."""

import time
from collections.abc import Callable

import anthropic
import httpx
import openai
import pytest
from tests.system.server import Server

pytestmark = pytest.mark.system


#: The server looks four times a second; the time allowed here is for machines that are busy otherwise.
PATIENCE = 20.0


def until(status: int, ask: Callable[[], httpx.Response]) -> None:
    end = time.monotonic() + PATIENCE
    while (response := ask()).status_code != status:
        assert time.monotonic() < end, f"still {response.status_code}"
        time.sleep(0.05)


def test_a_key_opens_what_it_is_for_until_it_is_revoked(server: Server) -> None:
    """By the official clients, whose errors know what happened; the log names the key and never its secret."""
    made = server.registry.keys.add("one-adapter", adapters=["plain"])
    until(200, lambda: httpx.get(f"{server.url}/v1/models", headers={"x-api-key": made.secret}))
    with (
        openai.OpenAI(base_url=f"{server.url}/v1", api_key=made.secret, max_retries=0) as client,
        anthropic.Anthropic(base_url=server.url, api_key=made.secret, max_retries=0) as other,
    ):
        assert {model.id.partition("@")[0] for model in client.models.list()} == {"plain"}
        answer = client.completions.create(model="plain@prod", prompt="Hello", max_tokens=2)
        assert answer.model == "plain@2"
        message = other.messages.create(model="plain", max_tokens=2, messages=[{"role": "user", "content": "Hello"}])
        assert message.model == "plain@1"
        for model in ("strong", "smol", "nothing"):
            with pytest.raises(openai.PermissionDeniedError, match="is not for"):
                client.completions.create(model=model, prompt="Hello")
            with pytest.raises(anthropic.PermissionDeniedError, match="is not for"):
                other.messages.create(model=model, max_tokens=2, messages=[{"role": "user", "content": "Hello"}])
        server.registry.keys.revoke("one-adapter")
        until(401, lambda: httpx.get(f"{server.url}/v1/models", headers={"x-api-key": made.secret}))
        with pytest.raises(openai.AuthenticationError):
            client.models.list()
        with pytest.raises(anthropic.AuthenticationError):
            other.messages.create(model="plain", max_tokens=2, messages=[{"role": "user", "content": "Hello"}])
    assert server.client.get("/v1/models").status_code == 200, "the key of the start is as it was"
    server.logged("by one-adapter: plain@2")
    assert made.secret[17:] not in server.log.read_text(errors="replace")
