"""Whether an adapter changes anything: the same tokens with it and without it, in one step of the engine.

vLLM serves an adapter that has no effect (numbers too small for the engine's type, modules that are not there) as the base
model, and says nothing. In one step, because results change with the batch: two steps could differ without any adapter.
"""

import asyncio
import logging
import uuid
from typing import Any

from vllm import SamplingParams

from lorarack.registry import Version
from lorarack.registry.errors import NotServeable
from lorarack.server.vllm.nonfinite import NOT_FINITE

log = logging.getLogger(__name__)

#: Tokens of the probe.
LENGTH = 16
#: Seconds that a load waits for it on a busy engine.
PATIENCE = 10.0
#: Spreads the tokens over the vocabulary.
_STRIDE = 7919


class EffectProbe:
    """Looks at each digest once, as long as the server runs."""

    def __init__(self, engine_client: Any, models: Any, vocabulary: int) -> None:
        """Of ``engine_client``, before its `generate` is watched; ``models`` has the adapters that are loaded."""
        self._generate = engine_client.generate
        self._models = models
        self._tokens = [(number * _STRIDE) % vocabulary for number in range(1, LENGTH + 1)]
        self._known: dict[str, str] = {}

    async def __call__(self, version: Version) -> str:
        """What was found, in words.

        Raises:
            NotServeable: ``version`` changes nothing, or gives numbers that are not finite.
        """
        if version.digest not in self._known:
            try:
                mine, base = await asyncio.wait_for(
                    asyncio.gather(self._logprobs(self._models.lora_requests[version.reference]), self._logprobs(None)),
                    PATIENCE,
                )
            except NotFiniteError as error:
                raise NotServeable(
                    f"{version.reference} gives numbers that are not finite; its weights or its scale are too large.",
                    code="not_finite",
                ) from error
            except Exception as error:  # noqa: BLE001 - a probe that fails must not keep a good version away
                log.warning("%s was not probed: %s: %s", version.reference, type(error).__name__, error)
                return "not probed"
            self._known[version.digest] = _verdict(version, mine, base)
        return self._known[version.digest]

    async def _logprobs(self, request: Any) -> list[float]:
        """Of the probe's tokens but the first."""
        params = SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0, detokenize=False)
        name = f"lorarack-probe-{uuid.uuid4().hex}"
        prompt = {"prompt_token_ids": self._tokens}
        found: list[float] = []
        async for output in self._generate(prompt, params, name, lora_request=request):
            if output.finished and output.outputs and output.outputs[0].stop_reason == NOT_FINITE:
                raise NotFiniteError
            if output.prompt_logprobs:
                table = zip(self._tokens[1:], output.prompt_logprobs[1:], strict=True)
                found = [one[token].logprob for token, one in table]
        return found


class NotFiniteError(Exception):
    """The engine failed the probe because of NaN or infinity."""


def _verdict(version: Version, mine: list[float], base: list[float]) -> str:
    if not mine or len(mine) != len(base):
        return "not probed"
    most = max(abs(one - other) for one, other in zip(mine, base, strict=True))
    if most == 0.0:
        raise NotServeable(
            f"{version.reference} changes nothing: {LENGTH} tokens have the very log probabilities that the base gives them. "
            "Its weights are too small for this server's number type, or untrained; train it longer or at a higher learning rate, "
            "or ask for the base by its name.",
            code="no_effect",
        )
    return f"changes the log probabilities of {LENGTH} tokens by up to {most:.2g}"
