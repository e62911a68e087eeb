"""A forecast follows from what was measured; between the points on a line, and never below nothing."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorarack.server.engine_speed import (
    AdapterWork,
    EngineSpeed,
    forecast,
    interpolated,
    measured_at,
    read_speed,
    speed_file,
    write_speed,
)

SPEED = EngineSpeed(
    prefill=((32, 0.04), (128, 0.1), (512, 0.34)),
    adapter_rank=16,
    adapter_prefill=((32, 0.05), (128, 0.12), (512, 0.40)),
    decode=((1, 0.010), (8, 0.017)),
    busy=0.0,
)
BASE = 200_000_000


def test_between_two_points_it_is_on_their_line_and_beyond_the_last_it_goes_on() -> None:
    assert interpolated(SPEED.prefill, 128) == pytest.approx(0.1)
    assert interpolated(SPEED.prefill, 80) == pytest.approx(0.07)
    assert interpolated(SPEED.prefill, 1024) == pytest.approx(0.66)
    assert interpolated(((8, 0.5),), 100) == 0.5


@given(st.lists(st.tuples(st.integers(1, 4096), st.floats(1e-6, 60)), min_size=1, max_size=5), st.integers(0, 10**6))
def test_it_is_never_zero(points: list[tuple[int, float]], at: int) -> None:
    """Also far outside of what was measured, and where more work took less time by chance."""
    found = dict(points)
    assert interpolated(tuple(sorted(found.items())), at) > 0


def test_a_request_alone_takes_its_prompt_and_its_steps() -> None:
    found = forecast(SPEED, BASE, None, 1, 128, 11)
    assert found.first_token == pytest.approx(0.1)
    assert found.tokens_per_second == pytest.approx(11 / (0.1 + 10 * 0.010))


def test_adapters_cost_their_bytes_in_each_step_and_in_a_prompt_what_one_was_measured_to_cost() -> None:
    """Eight adapters of a tenth of the base's bytes are eight tenths of the base's reading more in a step."""
    found = forecast(SPEED, BASE, AdapterWork(16, BASE // 10), 8, 32, 101)
    assert found.first_token == pytest.approx(0.05)
    step = 0.017 + 0.8 * 0.010
    assert found.tokens_per_second == pytest.approx(8 * 101 / (interpolated(SPEED.adapter_prefill, 256) + 100 * step))


def test_a_prompt_costs_an_adapter_by_its_rank_and_never_less_than_the_base() -> None:
    assert SPEED.prompt_seconds(128, 32) == pytest.approx(0.1 + 2 * 0.02)
    quick = SPEED.model_copy(update={"adapter_prefill": ((32, 0.03),)})
    assert quick.prompt_seconds(32, 64) == pytest.approx(0.04)


def test_it_is_measured_where_the_engine_can_go() -> None:
    assert measured_at((32, 128, 512), 200) == [32, 128]
    assert measured_at((32, 128, 512), 10) == [10]


def test_what_was_measured_is_kept_for_these_settings_on_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing, and a damaged file, are nothing."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    tmp_path.chmod(0o700)
    args = SimpleNamespace(
        dtype="bfloat16", enforce_eager=False, quantization=None, tensor_parallel_size=1, enable_lora=True
    )
    file = speed_file("sha256:1", "0.32.0", "kernel", args)
    assert read_speed(file) is None
    write_speed(file, SPEED)
    assert read_speed(file) == SPEED
    assert os.listdir(file.parent) == [file.name]
    args.dtype = "float32"
    assert read_speed(speed_file("sha256:1", "0.32.0", "kernel", args)) is None
    file.write_text('{"prefill": []}')
    assert read_speed(file) is None
