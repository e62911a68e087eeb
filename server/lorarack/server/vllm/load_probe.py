"""Everything that is looked at when a version was loaded, before it answers anybody; what was found is its serving record."""

import asyncio

from lorarack.registry import Version
from lorarack.registry.errors import LorarackError
from lorarack.server.proof import NOT_PROBED, Proof, ServingRecords
from lorarack.server.residency_table import Key, key_of
from lorarack.server.vllm.effect_probe import EffectProbe
from lorarack.server.vllm.parity_probe import ParityProbe

#: Seconds that a load waits for a look, on a slow registry or a busy engine.
PATIENCE = 10.0
#: The same until the engine has answered one: in a new home it then compiles what log probabilities are computed with.
FIRST_PATIENCE = 60.0


class LoadProbe:
    """Looks at each version once, as long as the server runs: its effect and its parity with the training, side by side."""

    def __init__(self, effect: EffectProbe, parity: ParityProbe, records: ServingRecords) -> None:
        self._effect, self._parity, self._records = effect, parity, records
        self._known: dict[Key, Proof] = {}
        self._patience = FIRST_PATIENCE

    async def __call__(self, version: Version) -> Proof:
        """What was found.

        Raises:
            NotServeable: it changes nothing, gives numbers that are not finite, or is not what was trained.
        """
        key = key_of(version)
        if key in self._known:
            return self._known[key]
        # Both to their end: an adapter is not to be unloaded while the engine computes with it.
        effect, parity = await asyncio.gather(
            self._effect(version, self._patience), self._parity(version, self._patience), return_exceptions=True
        )
        for error in (effect, parity):
            if isinstance(error, BaseException):
                if isinstance(error, LorarackError):
                    self._records.keep(version, None, error)
                raise error
        assert not isinstance(effect, BaseException)  # noqa: S101 - raised above
        assert not isinstance(parity, BaseException)  # noqa: S101 - raised above
        if effect != NOT_PROBED:
            self._patience = PATIENCE
        found = Proof(effect, parity)
        if parity is not None:  # else it is tried again at the next load, as the effect probe does where it failed
            self._known[key] = found
        self._records.keep(version, found)
        return found
