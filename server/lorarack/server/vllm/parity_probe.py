"""Whether the engine gives a trained version's reference prompts the log probabilities of its training."""

import asyncio
import logging
from typing import Any

from lorarack.registry import Version
from lorarack.registry.errors import NotServeable
from lorarack.registry.parity import Logprobs, Parity, ParityState, compare_logprobs
from lorarack.registry.reference_logprobs import ReferenceLogprobs
from lorarack.server.proof import ServingRecords
from lorarack.server.vllm.prompt_logprobs import prompt_logprobs

log = logging.getLogger(__name__)

#: What is computed of a reference, which an import may have brought: training writes 4 prompts of at most 48 tokens.
MAX_PROMPTS, MAX_TOKENS = 8, 64


class ParityProbe:
    """Compares a version; computes the base's share once for all versions with the same prompts."""

    def __init__(self, generate: Any, models: Any, records: ServingRecords, dtype: str, fingerprint: str) -> None:
        """With the engine's own ``generate``; ``models`` has the adapters that are loaded."""
        self._generate = generate
        self._models = models
        self._records = records
        self._dtype, self._fingerprint = dtype, fingerprint
        self._base: dict[tuple[tuple[int, ...], ...], Logprobs] = {}

    async def __call__(self, version: Version, patience: float) -> Parity | None:
        """What was found; None where there is no reference, or it could not be compared in ``patience`` seconds.

        Raises:
            NotServeable: the version is not what was trained.
        """
        try:
            found = await asyncio.wait_for(self._compare(version), patience)
        except Exception as error:  # noqa: BLE001 - a comparison that fails must not keep a good version away
            log.warning("%s was not compared with its training: %s: %s", version.reference, type(error).__name__, error)
            return None
        if found is not None and found.state is ParityState.OTHER:
            raise NotServeable(
                f"{version.reference} {found.words}. This server computes something else than its training did; look at the "
                "versions of vLLM and of the base, or publish it again from its training.",
                code="not_as_trained",
            )
        if found is not None and found.state is ParityState.DRIFTED:
            log.warning("%s %s; it is served.", version.reference, found.words)
        return found

    async def _compare(self, version: Version) -> Parity | None:
        reference = await asyncio.to_thread(self._records.reference_of, version)
        if reference is None or not _fits(reference):
            return None
        prompts = tuple(prompt.token_ids for prompt in reference.prompts)
        mine = self._of(prompts, self._models.lora_requests[version.reference])
        if prompts in self._base:
            found, base = await mine, self._base[prompts]
        else:
            found, base = await asyncio.gather(mine, self._of(prompts, None))
            self._base = {prompts: base}
        return compare_logprobs(
            reference, found, base, self._dtype, strict=version.base_fingerprint == self._fingerprint
        )

    async def _of(self, prompts: tuple[tuple[int, ...], ...], request: Any) -> Logprobs:
        """All prompts at once, so that the engine has them in one step where it has room."""
        return await asyncio.gather(*(prompt_logprobs(self._generate, tokens, request) for tokens in prompts))


def _fits(reference: ReferenceLogprobs) -> bool:
    longest = max((len(prompt.token_ids) for prompt in reference.prompts), default=0)
    return 0 < len(reference.prompts) <= MAX_PROMPTS and longest <= MAX_TOKENS
