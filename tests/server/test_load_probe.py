"""What is looked at when a version was loaded: side by side, once, kept as its record, and never in a good version's way."""

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from tests.server.values import BASE_PRINT, version

from lorarack.registry import Version
from lorarack.registry.errors import NotServeable, StoreError
from lorarack.registry.parity import ServingRecord
from lorarack.registry.reference_logprobs import ReferenceLogprobs, ReferencePrompt
from lorarack.registry.values import Provenance
from lorarack.server.proof import NOT_PROBED, ServingRecords

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")]

PROMPTS = [(3, 4, 5, 6), (7, 8, 9)]


class Engine:
    """Gives every token -1, and with an adapter -1.5 and ``off``."""

    def __init__(self, off: float = 0.0) -> None:
        self.off = off
        self.asked: list[tuple[bool, tuple[int, ...]]] = []
        self.fault: Exception | None = None
        self.seconds = 0.0

    async def generate(self, prompt: Any, params: Any, name: str, *, lora_request: Any) -> AsyncIterator[Any]:
        tokens = prompt["prompt_token_ids"]
        self.asked.append((lora_request is not None, tuple(tokens)))
        await asyncio.sleep(self.seconds)
        if self.fault and tuple(tokens) in PROMPTS:
            raise self.fault
        value = -1.5 - self.off if lora_request is not None else -1.0
        table = [None, *({token: SimpleNamespace(logprob=value)} for token in tokens[1:])]
        yield SimpleNamespace(finished=True, outputs=[SimpleNamespace(stop_reason=None)], prompt_logprobs=table)


def trained(
    number: int = 1, dtype: str = "float32", prompts: list[tuple[int, ...]] | None = None, **changes: Any
) -> Version:
    said = [ReferencePrompt(token_ids=ids, logprobs=(-1.5,) * (len(ids) - 1)) for ids in prompts or PROMPTS]
    reference = ReferenceLogprobs(dtype=dtype, prompts=tuple(said))
    return version(number, provenance=Provenance(reference=reference), **changes)


class Source:
    """A registry of these versions."""

    def __init__(self, *versions: Version) -> None:
        self.versions = {one.reference: one for one in versions}
        self.records: list[ServingRecord] = []

    def get_version(self, reference: str) -> Version:
        if reference not in self.versions:
            raise StoreError("The registry is away.")
        return self.versions[reference]

    def serving_record(self, version: Version) -> ServingRecord | None:
        return self.records[-1] if self.records else None

    def keep_serving_record(self, version: Version, record: ServingRecord) -> None:
        self.records.append(record)


class World:
    def __init__(self, *versions: Version, off: float = 0.0, dtype: str = "float32") -> None:
        from lorarack.server.vllm.effect_probe import EffectProbe
        from lorarack.server.vllm.load_probe import LoadProbe
        from lorarack.server.vllm.parity_probe import ParityProbe

        self.engine, self.source = Engine(off), Source(*versions)
        models = SimpleNamespace(lora_requests={one.reference: object() for one in versions} | {"support@9": object()})
        self.kept = ServingRecords(self.source, "0.32.0", dtype, BASE_PRINT, lambda: datetime(2026, 1, 1, tzinfo=UTC))
        parity = ParityProbe(self.engine.generate, models, self.kept, dtype, BASE_PRINT)
        self.probe = LoadProbe(EffectProbe(self.engine, models, 100), parity, self.kept)

    def records(self) -> list[ServingRecord]:
        self.kept._writer.shutdown(wait=True)
        return self.source.records


async def test_what_is_as_trained_is_said_once_a_digest_and_kept() -> None:
    """The snapshot's version has no provenance: it is read of the registry."""
    world = World(trained(1), trained(2))
    found = await world.probe(version(1))
    assert found.parity is not None
    assert (found.parity.state, found.parity.mean, found.parity.effect, found.parity.tokens) == ("same", 0.0, 0.5, 5)
    assert "by up to 0.5" in found.effect
    assert len(world.engine.asked) == 2 + 2 * len(PROMPTS)
    assert await world.probe(version(1)) == found
    assert len(world.engine.asked) == 2 + 2 * len(PROMPTS)
    await world.probe(version(2))
    asked = [tokens for adapted, tokens in world.engine.asked if not adapted and tokens in PROMPTS]
    assert len(asked) == len(PROMPTS), "the base says the same for all versions"
    (record,) = world.records()  # that of version 2 says nothing new
    assert record.parity == found.parity
    assert (record.vllm, record.refused) == ("0.32.0", None)
    assert record.words.startswith("vLLM 0.32.0, float32: changes the log probabilities")


async def test_what_is_not_what_was_trained_is_refused_and_that_is_kept() -> None:
    world = World(trained(1), off=0.4)
    with pytest.raises(NotServeable, match="support@1 is not what was trained: 5 log probabilities") as refused:
        await world.probe(version(1))
    assert refused.value.code == "not_as_trained"
    (record,) = world.records()
    assert record.refused == refused.value.message
    assert record.parity is None


@pytest.mark.parametrize(
    ("changes", "dtype", "off"),
    [
        ({"dtype": "bfloat16"}, "float32", 0.09),
        ({}, "bfloat16", 0.09),
        ({"base_fingerprint": "sha256:" + "c" * 64}, "float32", 0.4),
        ({"dtype": "float8"}, "float32", 0.4),
    ],
    ids=["trained in bfloat16", "served in bfloat16", "a copy of the base", "an unknown type"],
)
async def test_another_number_type_or_a_copy_of_the_base_is_not_refused(
    changes: dict[str, Any], dtype: str, off: float
) -> None:
    one = trained(1, **changes)
    found = await World(one, off=off, dtype=dtype).probe(one.model_copy(update={"provenance": None}))
    assert found.parity is not None


@pytest.mark.parametrize(
    "prompts", [[tuple(range(65))], [(1, 2)] * 9], ids=["longer than training writes", "more than training writes"]
)
async def test_a_reference_that_would_hold_the_engine_up_is_not_computed(prompts: list[tuple[int, ...]]) -> None:
    world = World(trained(1, prompts=prompts))
    assert (await world.probe(version(1))).parity is None
    assert len(world.engine.asked) == 2


async def test_a_comparison_that_fails_keeps_nobody_away() -> None:
    """Of a version without a reference, while the registry is away, and where the engine fails; the last two are tried again."""
    world = World(version(1), trained(2))
    assert (await world.probe(version(1))).parity is None
    assert (await world.probe(version(9))).parity is None
    world.engine.fault = RuntimeError("out of vocabulary")
    assert (await world.probe(version(2))).parity is None
    world.engine.fault = None
    again = await world.probe(version(2))
    assert again.parity is not None


async def test_a_registry_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    world, over = World(trained(1), trained(2)), threading.Event()
    monkeypatch.setattr("lorarack.server.vllm.load_probe.PATIENCE", 0.05)
    await world.probe(version(1))
    monkeypatch.setattr(world.source, "get_version", lambda _: over.wait(20))
    try:
        assert (await world.probe(version(2))).parity is None
    finally:
        over.set()


async def test_a_new_engine_is_waited_for_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it has answered once: it may have to compile first."""
    monkeypatch.setattr("lorarack.server.vllm.load_probe.PATIENCE", 0.05)
    world = World(trained(1), trained(2))
    world.engine.seconds = 0.2
    first = await world.probe(version(1))
    assert (first.parity is not None, first.effect != NOT_PROBED) == (True, True)
    second = await world.probe(version(2))
    assert (second.parity, second.effect) == (None, NOT_PROBED)


async def test_an_adapter_is_not_unloaded_while_the_engine_compares_it() -> None:
    """Where one look refuses it, the other is waited for."""
    world = World(trained(1), off=-0.5)  # as the base: no effect
    with pytest.raises(NotServeable) as refused:
        await world.probe(version(1))
    assert refused.value.code == "no_effect"
    assert len(world.engine.asked) == 2 + 2 * len(PROMPTS)
