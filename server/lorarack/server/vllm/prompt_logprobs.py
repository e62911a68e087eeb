"""The log probabilities that the engine gives the tokens of a prompt."""

import uuid
from collections.abc import Sequence
from typing import Any

from vllm import SamplingParams

from lorarack.server.vllm.nonfinite import NOT_FINITE


class NotFiniteError(Exception):
    """The engine failed the request because of NaN or infinity."""


async def prompt_logprobs(generate: Any, tokens: Sequence[int], lora_request: Any) -> list[float]:
    """Of each token but the first; ``lora_request`` None: of the bare base.

    Raises:
        NotFiniteError: the numbers are not finite.
    """
    params = SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0, detokenize=False)
    name = f"lorarack-probe-{uuid.uuid4().hex}"
    found: list[float] = []
    async for output in generate({"prompt_token_ids": list(tokens)}, params, name, lora_request=lora_request):
        if output.finished and output.outputs and output.outputs[0].stop_reason == NOT_FINITE:
            raise NotFiniteError
        if output.prompt_logprobs:
            table = zip(tokens[1:], output.prompt_logprobs[1:], strict=True)
            found = [one[token].logprob for token, one in table]
    return found
