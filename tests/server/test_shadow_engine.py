"""Which token of an answer another version would not have given, read from what vLLM says of a prefill."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from lorarack.server.exchange import ServedText

pytestmark = pytest.mark.torch

PROMPT = [1, 2]


def first_difference(served: Sequence[int], prefill: Sequence[dict[int, tuple[float, int]]], last: int) -> int | None:
    """``prefill``: log probability and rank of each token that vLLM names, by place of the answer; ``last``: what it generates."""
    from vllm.logprobs import Logprob

    from lorarack.server.vllm.shadow_engine import VllmShadowEngine

    named = [{token: Logprob(*found) for token, found in place.items()} for place in prefill]

    async def generate(*_: Any, **__: Any) -> AsyncIterator[Any]:
        generated = SimpleNamespace(finish_reason="length", token_ids=[last])
        yield SimpleNamespace(prompt_logprobs=[None, {2: Logprob(-9.0, 99)}, *named], outputs=[generated])

    client = SimpleNamespace(generate=generate, model_config=SimpleNamespace(max_logprobs=20))
    engine = VllmShadowEngine(client, SimpleNamespace(lora_requests={"support@2": None}))
    asked = {"prompt": {"type": "token", "prompt_token_ids": PROMPT}}
    return asyncio.run(engine.first_difference(ServedText(asked, PROMPT, list(served)), "support@2"))


LIKELIEST = {5: (-0.1, 1), 6: (-3.0, 2)}
OTHER = {5: (-2.0, 3), 6: (-0.5, 1), 7: (-1.0, 2)}


def test_the_first_token_that_is_not_the_likeliest() -> None:
    assert first_difference([5, 5, 8], [LIKELIEST, LIKELIEST], 8) is None
    assert first_difference([5, 5, 8], [LIKELIEST, OTHER], 8) == 1
    assert first_difference([5, 5, 8], [OTHER, OTHER], 8) == 0


def test_the_last_token_is_compared_with_what_is_generated() -> None:
    assert first_difference([5, 8], [LIKELIEST], 9) == 1
    assert first_difference([8], [], 8) is None


def test_of_equally_likely_tokens_the_first_is_the_engine_s() -> None:
    """vLLM ranks a token behind all that are as likely, so neither has rank 1."""
    assert first_difference([5, 8], [{5: (-0.7, 2), 6: (-0.7, 2)}], 8) is None
    assert first_difference([6, 8], [{5: (-0.7, 2), 6: (-0.7, 2)}], 8) == 0


@pytest.mark.parametrize(("most", "checked"), [(20, True), (-1, True), (2, True), (1, False), (0, False)])
def test_an_engine_that_names_no_other_tokens_checks_nothing(most: int, checked: bool) -> None:
    """Else every answer would seem to be the same."""
    from vllm import SamplingParams

    from lorarack.server.vllm.shadow_engine import VllmShadowEngine

    engine = VllmShadowEngine(SimpleNamespace(model_config=SimpleNamespace(max_logprobs=most)), None)
    assert engine.is_greedy(ServedText({"params": SamplingParams(temperature=0.0)})) is checked
