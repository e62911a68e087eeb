"""What was found of a version when it was loaded, and how that is kept in the registry as its serving record."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from lorarack.registry import Version
from lorarack.registry.errors import LorarackError
from lorarack.registry.parity import Parity, ServingRecord
from lorarack.registry.reference_logprobs import ReferenceLogprobs

log = logging.getLogger(__name__)

#: The effect of a version whose probe failed, or found the engine busy.
NOT_PROBED = "not probed"


@dataclass(frozen=True, slots=True)
class Proof:
    """What was found.

    Attributes:
        effect: whether it changes the base's log probabilities, in words.
        parity: whether they are those of its training; None where that was not compared.
    """

    effect: str
    parity: Parity | None = None


class Source(Protocol):
    """What is needed of a registry."""

    def get_version(self, reference: str) -> Version:
        """The version, with its provenance."""

    def serving_record(self, version: Version) -> ServingRecord | None:
        """What was kept last."""

    def keep_serving_record(self, version: Version, record: ServingRecord) -> None:
        """Keep another."""


class ServingRecords:
    """Reads references from the registry and keeps records there, in threads of its own: nobody waits for the second."""

    def __init__(
        self,
        source: Source,
        vllm: str,
        dtype: str,
        fingerprint: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._source = source
        self._vllm, self._dtype, self._fingerprint = vllm, dtype, fingerprint
        self._clock = clock
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lorarack-records")

    def reference_of(self, version: Version) -> ReferenceLogprobs | None:
        """What ``version`` said when it was trained. For a thread.

        Raises:
            NotFound: it was deleted.
            StoreError: the registry cannot be read.
        """
        found = self._source.get_version(version.reference)
        return found.provenance.reference if found.provenance and found.digest == version.digest else None

    def keep(self, version: Version, proof: Proof | None, refused: LorarackError | None = None) -> None:
        """Keep what was found, if anything was, in a while, where it is not what is kept already."""
        if refused is None and proof is not None and proof.effect == NOT_PROBED and proof.parity is None:
            return
        record = ServingRecord(
            at=self._clock(),
            vllm=self._vllm,
            dtype=self._dtype,
            base_fingerprint=self._fingerprint,
            effect=proof.effect if proof else None,
            parity=proof.parity if proof else None,
            refused=refused.message if refused else None,
        )
        self._writer.submit(self._keep, version, record)

    def _keep(self, version: Version, record: ServingRecord) -> None:
        try:
            before = self._source.serving_record(version)
            if before is None or before.outcome != record.outcome:
                self._source.keep_serving_record(version, record)
        except Exception as error:  # noqa: BLE001 - it is only a record
            log.warning("The serving record of %s was not kept: %s: %s", version.reference, type(error).__name__, error)
