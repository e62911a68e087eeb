"""Whether an adapter changes anything: the same tokens with it and without it, in one step of the engine.

vLLM serves an adapter that has no effect (numbers too small for the engine's type, modules that are not there) as the base
model, and says nothing. In one step, because results change with the batch: two steps could differ without any adapter.
"""

import asyncio
import logging
from typing import Any

from lorarack.registry import Version
from lorarack.registry.errors import NotServeable
from lorarack.registry.parity import probe_tokens
from lorarack.server.proof import NOT_PROBED
from lorarack.server.vllm.prompt_logprobs import NotFiniteError, prompt_logprobs

log = logging.getLogger(__name__)


class EffectProbe:
    """Looks at each digest once, as long as the server runs."""

    def __init__(self, engine_client: Any, models: Any, vocabulary: int) -> None:
        """Of ``engine_client``, before its `generate` is watched; ``models`` has the adapters that are loaded."""
        self._generate = engine_client.generate
        self._models = models
        self._tokens = probe_tokens(vocabulary)
        self._known: dict[str, str] = {}

    async def __call__(self, version: Version, patience: float) -> str:
        """What was found, in words; it takes at most ``patience`` seconds.

        Raises:
            NotServeable: ``version`` changes nothing, or gives numbers that are not finite.
        """
        if version.digest not in self._known:
            try:
                request = self._models.lora_requests[version.reference]
                both = (prompt_logprobs(self._generate, self._tokens, which) for which in (request, None))
                mine, base = await asyncio.wait_for(asyncio.gather(*both), patience)
            except NotFiniteError as error:
                raise NotServeable(
                    f"{version.reference} gives numbers that are not finite; its weights or its scale are too large.",
                    code="not_finite",
                ) from error
            except Exception as error:  # noqa: BLE001 - a probe that fails must not keep a good version away
                log.warning("%s was not probed: %s: %s", version.reference, type(error).__name__, error)
                return NOT_PROBED
            self._known[version.digest] = _verdict(version, mine, base)
        return self._known[version.digest]


def _verdict(version: Version, mine: list[float], base: list[float]) -> str:
    if not mine or len(mine) != len(base):
        return NOT_PROBED
    most = max(abs(one - other) for one, other in zip(mine, base, strict=True))
    if most == 0.0:
        raise NotServeable(
            f"{version.reference} changes nothing: {len(mine) + 1} tokens have the very log probabilities that the base gives "
            "them. Its weights are too small for this server's number type, or untrained; train it longer or at a higher "
            "learning rate, or ask for the base by its name.",
            code="no_effect",
        )
    return f"changes the log probabilities of {len(mine) + 1} tokens by up to {most:.2g}"
