"""vLLM's engine as a :class:`~lorarack.server.shadows.ShadowEngine`."""

import uuid
from collections.abc import Mapping
from typing import Any

from vllm import SamplingParams
from vllm.logprobs import Logprob
from vllm.sampling_params import RequestOutputKind

from lorarack.server.exchange import ServedText

#: vLLM takes less for none at all.
_LEAST_TEMPERATURE = 1e-5


class VllmShadowEngine:
    """Asks the engine for texts that nobody waits for."""

    def __init__(self, engine_client: Any, models: Any) -> None:
        """Of ``engine_client``, whose ``generate`` is watched; ``models`` has the adapters that are loaded."""
        self._client = engine_client
        self._models = models

    def takes(self, served: ServedText) -> bool:
        """Whether that can be asked again: one text for one prompt of tokens."""
        asked = served.asked
        return (
            bool(served.tokens and served.prompt) and asked["prompt"].get("type") == "token" and asked["params"].n == 1
        )

    def is_greedy(self, served: ServedText) -> bool:
        """Whether each token of it has the largest logit as the model gives it, and the engine can say which that is."""
        params = served.asked["params"]
        # A check needs the two likeliest tokens of each place.
        checks = self._client.model_config.max_logprobs not in (0, 1)
        changed = (
            params.presence_penalty, params.frequency_penalty, params.repetition_penalty != 1.0, params.min_tokens,
            params.logit_bias, params.allowed_token_ids, params.bad_words, params.structured_outputs,
            params.thinking_token_budget, params.extra_args, params.repetition_detection,
        )  # fmt: skip
        return checks and params.temperature < _LEAST_TEMPERATURE and not any(changed)

    async def first_difference(self, served: ServedText, name: str) -> int | None:
        """The place of the first token that ``name`` would not have given, from one prefill of prompt and answer; None: none."""
        # The last token need not be read: the one that is generated in its place is compared with it.
        params = SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=2, detokenize=False)
        output = await self._last(_with(served, served.tokens[:-1]), params, name)
        table = output.prompt_logprobs or []
        for place, token in enumerate(served.tokens[:-1]):
            if _greedy(table[len(served.prompt) + place]) != token:
                return place
        last = len(served.tokens) - 1
        return None if list(output.outputs[0].token_ids) == served.tokens[last:] else last

    async def answer(self, served: ServedText, name: str, start: int) -> tuple[list[int], str]:
        """The tokens and the text that ``name`` answers, the first ``start`` tokens as in ``served``."""
        asked = served.asked
        params = asked["params"].clone()
        params.output_kind, params.logprobs, params.prompt_logprobs = RequestOutputKind.FINAL_ONLY, None, None
        # A stop string may lie across the seam, and be missed there.
        if start == 0 or params.stop:
            output = await self._last(asked["prompt"], params, name, **asked["more"])
            return list(output.outputs[0].token_ids), output.outputs[0].text
        if params.max_tokens is not None:
            params.max_tokens -= start
        params.detokenize = False
        known = served.tokens[:start]
        output = await self._last(_with(served, known), params, name)
        tokens = [*known, *output.outputs[0].token_ids]
        tokenizer = self._client.get_tokenizer()
        return tokens, tokenizer.decode(tokens, skip_special_tokens=params.skip_special_tokens)

    async def _last(self, prompt: Any, params: SamplingParams, name: str, **more: Any) -> Any:
        """The last output."""
        params.output_kind = RequestOutputKind.FINAL_ONLY
        request = self._models.lora_requests[name]
        output, ident = None, f"lorarack-shadow-{uuid.uuid4().hex}"
        async for found in self._client.generate(prompt, params, ident, lora_request=request, **more):
            output = found
        if output is None or not output.outputs or output.outputs[0].finish_reason in (None, "abort", "error"):
            raise RuntimeError("vLLM gave no answer")
        return output


def _greedy(found: Mapping[int, Logprob]) -> int:
    """The likeliest token; of two with the same logit, which are no rarity in bfloat16, the first, as the engine takes it.

    (By the rank that vLLM gives, neither is the likeliest.)
    """
    return max(found, key=lambda token: (found[token].logprob, -token))


def _with(served: ServedText, tokens: list[int]) -> dict[str, Any]:
    """What was asked, and behind it the beginning of its answer."""
    prompt = {name: served.asked["prompt"][name] for name in ("type", "cache_salt") if name in served.asked["prompt"]}
    return {**prompt, "prompt_token_ids": [*served.prompt, *tokens]}
