"""The first start measures its engine, once; an engine that fails at it serves all the same."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lorarack.server.engine_speed import read_speed, write_speed

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning"),
]


class Client:
    """Generates tokens, or fails; remembers prompts and how many were under way."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.fault = fault
        self.prompts: list[tuple[int, ...]] = []
        self.to_adapter: list[int] = []
        self.running, self.most = 0, set[int]()

    async def generate(self, prompt: Any, params: Any, name: str, lora_request: Any = None) -> AsyncIterator[Any]:
        if self.fault:
            raise self.fault
        if lora_request is not None:
            self.to_adapter.append(len(prompt["prompt_token_ids"]))
        self.prompts.append(tuple(prompt["prompt_token_ids"]))
        self.running += 1
        for number in range(params.max_tokens):
            await asyncio.sleep(0.001)
            self.most.add(self.running)
            yield number
        self.running -= 1


def config(length: int = 256, rows: int = 8) -> Any:
    model = SimpleNamespace(get_vocab_size=lambda: 1000, max_model_len=length)
    return SimpleNamespace(
        model_config=model,
        scheduler_config=SimpleNamespace(max_num_seqs=rows),
        lora_config=SimpleNamespace(max_lora_rank=8),
    )


class Adapter:
    """Says which ranks were loaded, and whether one still is."""

    def __init__(self) -> None:
        self.ranks: list[int] = []
        self.loaded = False

    @asynccontextmanager
    async def __call__(self, rank: int) -> AsyncIterator[Any]:
        self.ranks.append(rank)
        self.loaded = True
        try:
            yield "adapter"
        finally:
            self.loaded = False


async def test_it_is_measured_once_within_what_the_engine_takes(tmp_path: Path) -> None:
    """No prompt begins like another, or the prefix cache would answer."""
    from lorarack.server.vllm.speed_measurement import keep_speed

    tmp_path.chmod(0o700)
    client, adapter, file = Client(), Adapter(), tmp_path / "speeds" / "one.json"
    await keep_speed(client, config(), adapter, file)
    found = read_speed(file)
    assert found is not None
    assert [tokens for tokens, _ in found.prefill] == [tokens for tokens, _ in found.adapter_prefill] == [32, 128]
    assert adapter.ranks == [found.adapter_rank] == [8]
    assert not adapter.loaded
    assert set(client.to_adapter) == {32, 128}
    assert [requests for requests, _ in found.decode] == [1, 8]
    assert all(seconds > 0 for _, seconds in (*found.prefill, *found.adapter_prefill, *found.decode))
    assert max(client.most) == 8
    assert len({prompt[0] for prompt in client.prompts}) == len(client.prompts)
    write_speed(file, found.model_copy(update={"busy": 0.05}))
    asked = len(client.prompts)
    await keep_speed(client, config(), adapter, file)
    assert len(client.prompts) == asked


async def test_first_prompts_do_not_count_and_a_slow_model_is_asked_one_round(monkeypatch: pytest.MonkeyPatch) -> None:
    from lorarack.server.vllm import speed_measurement

    assert speed_measurement._settled([9.0, 8.0, 7.0, 1.0, 3.0, 2.0]) == 2.0
    assert speed_measurement._settled([9.0, 5.0]) == 5.0
    assert speed_measurement._settled([9.0]) == 9.0
    client, once = Client(), Client()
    await speed_measurement.measure(client, config(), Adapter())
    monkeypatch.setattr(speed_measurement, "_ENOUGH", 0.0)
    await speed_measurement.measure(once, config(), Adapter())
    assert sorted(once.to_adapter) == [32, 128]
    assert len(client.to_adapter) == 2 * (speed_measurement._FIRST + speed_measurement._TIMES)


async def test_it_is_measured_again_until_the_machine_was_quiet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what was measured on a busier machine than before is not kept."""
    from lorarack.server.vllm import speed_measurement

    tmp_path.chmod(0o700)
    file, kept = tmp_path / "speeds" / "one.json", []
    shares = iter((0.4, 0.7, 0.02, 0.5))
    monkeypatch.setattr(speed_measurement.OtherPrograms, "share", property(lambda _: next(shares)))
    for _ in range(4):
        await speed_measurement.keep_speed(Client(), config(), Adapter(), file)
        found = read_speed(file)
        assert found is not None
        kept.append((found.busy, found.holds))
    assert kept == [(0.4, False), (0.4, False), (0.02, True), (0.02, True)]


@pytest.mark.parametrize(
    ("idle", "mine", "others"), [(8.0, 12.0, 0.0), (2.0, 8.0, 0.5), (0.0, 0.0, 1.0), (19.0, 2.0, 0.0)]
)
def test_what_is_neither_idle_nor_mine_is_others(
    monkeypatch: pytest.MonkeyPatch, idle: float, mine: float, others: float
) -> None:
    """Two processors for ten seconds. Clocks tick apart, so that a little more than all may be found."""
    from lorarack.server.vllm import speed_measurement

    times = iter([(100.0, 50.0, 5.0), (120.0, 50.0 + idle, 5.0 + mine)])
    monkeypatch.setattr(speed_measurement, "_processor_seconds", lambda: next(times))
    assert speed_measurement.OtherPrograms().share == pytest.approx(others)


async def test_an_engine_that_fails_is_said_and_nothing_is_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from lorarack.server.vllm.speed_measurement import keep_speed

    adapter = Adapter()
    await keep_speed(Client(ZeroDivisionError("odd")), config(), adapter, tmp_path / "one.json")
    assert not adapter.loaded
    assert "was not measured: ZeroDivisionError: odd" in caplog.text
    assert not (tmp_path / "one.json").exists()
