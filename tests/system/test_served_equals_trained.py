"""What the server answers is what was trained: PEFT in float32 says the same, for every adapter, in any mixture.

Tolerance: log probabilities within 0.02, both sides in float32 (the difference seen is below 0.001; a wrong scale, a wrong
slot or a row that got another's adapter is off by whole units).
"""

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.system.server import KEY, Server
from tests.system.session_server import BASE

pytestmark = [pytest.mark.system, pytest.mark.torch]

TOLERANCE = 0.02
LENGTH = 4
MIXTURES = 50


def ask(server: Server, model: str, prompt: Sequence[int]) -> dict[str, Any]:
    return server.complete(model, prompt, max_tokens=LENGTH, prompt_logprobs=0, return_token_ids=True, ignore_eos=True)


def check(answer: dict[str, Any], model: str, prompt: Sequence[int], reference: Any) -> float:
    """The largest difference of a prompt token's log probability; the continuation must be the same tokens."""
    assert answer["model"] == model
    choice = answer["choices"][0]
    continuation = choice["token_ids"]
    # Each token is the likeliest after those before it: so is what PEFT itself would have continued with.
    truth = reference.truth(None if model == BASE else model, [*prompt, *continuation])
    given = [
        table[str(token)]["logprob"] for token, table in zip(prompt[1:], choice["prompt_logprobs"][1:], strict=True)
    ]
    worst = max(abs(mine - right) for mine, right in zip(given, truth.logprobs[: len(given)], strict=True))
    assert worst <= TOLERANCE, f"{model}: a prompt token's log probability is off by {worst:.3f}"
    assert len(continuation) == LENGTH
    assert tuple(continuation) == truth.likeliest[len(prompt) - 1 : -1], f"{model} continues differently"
    return worst


def test_the_adapters_differ_from_the_base_and_from_each_other(
    adapters: dict[str, Path], reference: Any, prompts: list[list[int]]
) -> None:
    """Else the tests below could not fail."""
    everyone = [None, *adapters]
    said = {name: reference.truth(name, prompts[0]).logprobs for name in everyone}
    for one in everyone:
        for other in everyone:
            if one != other:
                apart = max(abs(a - b) for a, b in zip(said[one], said[other], strict=True))
                assert apart > 10 * TOLERANCE, f"{one} and {other} say the same"


def test_every_rank_and_kind_at_once_equals_peft(
    server: Server, adapters: dict[str, Path], reference: Any, prompts: list[list[int]]
) -> None:
    """All adapters and the base over every prompt, sent together: ranks 2, 4, 8 and 16, rsLoRA, rank and alpha patterns."""
    asked = [(model, prompt) for prompt in prompts for model in [BASE, *adapters]]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda pair: ask(server, *pair), asked))
    for (model, prompt), answer in zip(asked, answers, strict=True):
        check(answer, model, prompt, reference)


def test_fifty_random_mixtures_are_right_for_every_row(
    server: Server, adapters: dict[str, Path], reference: Any, prompts: list[list[int]]
) -> None:
    """Base rows beside a strong adapter above all: vLLM's own CPU path gives them somebody's adapter."""
    choice = random.Random(20)
    models = [BASE, "strong@1", *adapters]
    with ThreadPoolExecutor(12) as pool:
        for _ in range(MIXTURES):
            rows = [(choice.choice(models), choice.choice(prompts)) for _ in range(choice.randint(2, 8))]
            rows += [(BASE, choice.choice(prompts)), ("strong@1", choice.choice(prompts))]
            choice.shuffle(rows)
            answers = list(pool.map(lambda row: ask(server, *row), rows))
            for (model, prompt), answer in zip(rows, answers, strict=True):
                check(answer, model, prompt, reference)


def test_likelihoods_of_expected_texts_are_pefts(server: Server, adapters: dict[str, Path], reference: Any) -> None:
    """The score nll, of a conversation and of a plain prompt: the tokens that training learns, without the end of turn."""
    from lorarack.adapters.data import Message, Row
    from lorarack.adapters.evaluation.client import Question, ServerClient
    from lorarack.adapters.training.encode import encode_row

    rows = (
        Row("Blue, with a little grey.", messages=(Message("user", "What colour is the sea?"),)),
        Row(" Rome, and of Spain Madrid.", prompt="The capital of France is Paris, of Italy"),
    )
    questions = [Question(model, row, likelihood=True) for row in rows for model in (BASE, *adapters)]
    replies = ServerClient(server.url, KEY).ask(questions)
    for question, reply in zip(questions, replies, strict=True):
        encoded = encode_row(question.row, reference.tokenizer)
        tokens = (*encoded.prompt, *encoded.completion[: reply.tokens])
        assert reply.tokens == len(encoded.completion) - 1  # the end of turn
        truth = reference.truth(None if question.model == BASE else question.model, tokens)
        wanted = -sum(truth.logprobs[-reply.tokens :]) / reply.tokens
        assert reply.nll == pytest.approx(wanted, abs=TOLERANCE), question.model
