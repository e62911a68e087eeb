"""An adapter that changes nothing is an error when it is loaded; a probe that fails is none."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from tests.server.values import version

from lorarack.registry.errors import NotServeable

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning"),
]
PATIENCE = 10.0


class Client:
    """An engine whose log probabilities are -1, and with an adapter off by ``effect``."""

    def __init__(self, effect: float | Exception | None) -> None:
        self.effect = effect
        self.asked = 0

    async def generate(self, prompt: Any, params: Any, name: str, *, lora_request: Any) -> AsyncIterator[Any]:
        self.asked += 1
        await asyncio.sleep(0)
        if isinstance(self.effect, Exception):
            raise self.effect
        from lorarack.server.vllm.nonfinite import NOT_FINITE

        failed = lora_request is not None and self.effect is None
        off = self.effect or 0.0 if lora_request is not None else 0.0
        table = [None, *({token: SimpleNamespace(logprob=-1.0 + off)} for token in prompt["prompt_token_ids"][1:])]
        answer = SimpleNamespace(stop_reason=NOT_FINITE if failed else None)
        yield SimpleNamespace(finished=True, outputs=[answer], prompt_logprobs=None if failed else table)


def probe(client: Client) -> Any:
    from lorarack.server.vllm.effect_probe import EffectProbe

    return EffectProbe(client, SimpleNamespace(lora_requests={"support@1": object()}), 100)


async def test_what_changes_something_is_said_and_looked_at_once() -> None:
    client = Client(0.25)
    looking = probe(client)
    for _ in range(3):
        assert await looking(version(1), PATIENCE) == "changes the log probabilities of 16 tokens by up to 0.25"
    assert client.asked == 2


@pytest.mark.parametrize(("effect", "code"), [(0.0, "no_effect"), (None, "not_finite")])
async def test_what_changes_nothing_or_is_not_finite_is_refused(effect: float | None, code: str) -> None:
    with pytest.raises(NotServeable, match="support@1") as refused:
        await probe(Client(effect))(version(1), PATIENCE)
    assert refused.value.code == code


async def test_a_probe_that_fails_keeps_nobody_away() -> None:
    """And is made again at the next load."""
    client = Client(RuntimeError("max_logprobs is 0"))
    looking = probe(client)
    assert await looking(version(1), PATIENCE) == "not probed"
    client.effect = 1.0
    assert "by up to 1" in await looking(version(1), PATIENCE)
