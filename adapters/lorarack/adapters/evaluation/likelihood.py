"""The negative log-likelihood of a row's expected text under a model: one prefill, nothing is generated.

vLLM tokenises the prompt and the whole, and returns the log-probability of each token of a prompt (``prompt_logprobs``).
"""

import asyncio
from typing import TYPE_CHECKING, Any, cast

from lorarack.adapters.data.rows import Row
from lorarack.adapters.evaluation.answers import Reply
from lorarack.registry.errors import Unavailable, UsageError
from lorarack.registry.openai_client import ModelServer

if TYPE_CHECKING:
    import openai


async def reference_likelihood(server: ModelServer, client: "openai.AsyncOpenAI", model: str, row: Row) -> Reply:
    """The mean negative log-likelihood of the tokens of the row's expected text, without the end of turn.

    Raises:
        UsageError: the row cannot be scored so.
        Unavailable: the server does not return what vLLM returns.
    """
    prompt, reference = await _tokens(server, client, model, row)
    if not reference:
        raise _refused(row, "an empty answer has no likelihood; leave out such rows")
    response = await client.completions.with_raw_response.create(
        model=model, prompt=[*prompt, *reference], max_tokens=1, temperature=0.0, extra_body={"prompt_logprobs": 0}
    )
    parsed: Any = response.parse()
    answer = await parsed if asyncio.iscoroutine(parsed) else parsed
    try:
        found = answer.choices[0].prompt_logprobs[len(prompt) :]
        logprobs = [position[str(token)]["logprob"] for position, token in zip(found, reference, strict=True)]
        return Reply(
            text="",
            tokens=len(reference),
            cut_off=False,
            model=answer.model,
            digest=response.headers.get("x-lorarack-digest"),
            nll=max(0.0, -sum(logprobs) / len(logprobs)),
        )
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise _not_vllm(server) from error


async def _tokens(
    server: ModelServer, client: "openai.AsyncOpenAI", model: str, row: Row
) -> tuple[list[int], list[int]]:
    """The tokens of the prompt, and those of the expected text after it, as training and the server split them."""
    if row.prompt is not None:
        prompt = await _tokenize(server, client, {"model": model, "prompt": row.prompt})
        answer = {"model": model, "prompt": row.completion, "add_special_tokens": False}
        return prompt, await _tokenize(server, client, answer)
    if row.options.documents:
        raise _refused(row, "a row with 'documents' cannot be scored by likelihood; choose another score")
    common: dict[str, Any] = {"model": model, **row.options.to_json()}
    messages = row.prompt_messages
    prompt = await _tokenize(server, client, {**common, "messages": messages})
    whole = {
        **common,
        "messages": [*messages, {"role": "assistant", "content": row.completion}],
        "add_generation_prompt": False,
        "continue_final_message": True,
    }
    tokens = await _tokenize(server, client, whole)
    if tokens[: len(prompt)] != prompt:
        raise _refused(
            row,
            "the chat template writes its prompt differently once there is an answer, so the answer has no likelihood; "
            "choose another score",
        )
    return prompt, tokens[len(prompt) :]


async def _tokenize(server: ModelServer, client: "openai.AsyncOpenAI", body: dict[str, Any]) -> list[int]:
    answer = await client.post(f"{server.address}/tokenize", cast_to=object, body=body)
    tokens = answer.get("tokens") if isinstance(answer, dict) else None
    if not isinstance(tokens, list) or not all(isinstance(token, int) for token in tokens):
        raise _not_vllm(server)
    return cast("list[int]", tokens)


def _not_vllm(server: ModelServer) -> Unavailable:
    return Unavailable(
        f"The server at {server.address} does not return the log-probabilities of a prompt as vLLM does; choose another score.",
        code="not_openai",
    )


def _refused(row: Row, problem: str) -> UsageError:
    return UsageError(
        f"Line {row.line}: {problem}." if row.line else f"{problem[0].upper()}{problem[1:]}.", code="bad_data"
    )
