"""Norms from small factors are the norms of the full matrices."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.tiny import adapter_config, adapter_tensors, write_safetensors

from lorarack.registry.artifact.deltas import Deltas, Factors, decode, distance, norm
from lorarack.registry.artifact.peft_config import PeftConfig


def drawn(seed: int, rank: int, out: int = 12, width: int = 20) -> Factors:
    random = np.random.default_rng(seed)
    return Factors(random.normal(size=(rank, width)), random.normal(size=(out, rank)))


def full(factors: Factors) -> NDArray[np.float64]:
    return factors.b @ factors.a


@given(st.integers(0, 10**6), st.integers(1, 16), st.integers(1, 16))
def test_norms_are_those_of_the_full_matrices(seed: int, rank: int, other_rank: int) -> None:
    """Of any two ranks, also of ones larger than the matrix."""
    one, other = drawn(seed, rank), drawn(seed + 1, other_rank)
    assert norm(one) == pytest.approx(np.linalg.norm(full(one)), rel=1e-12)
    assert distance(one, other) == pytest.approx(np.linalg.norm(full(one) - full(other)), rel=1e-12)


@pytest.mark.parametrize("size", [1e-3, 1e-6, 1e-9, 1e-12])
def test_a_small_difference_keeps_its_digits(size: float) -> None:
    """From the squares alone a relative difference of 1e-9 would come out as about 1e-8, or as the root of a negative number."""
    one = drawn(3, 8)
    moved = Factors(one.a, one.b + size * np.random.default_rng(4).normal(size=one.b.shape))
    assert distance(one, moved) == pytest.approx(np.linalg.norm((moved.b - one.b) @ one.a), rel=1e-2)


def test_equal_ones_and_the_same_matrix_from_other_factors_are_at_no_distance() -> None:
    one = drawn(5, 8)
    turn = np.linalg.qr(np.random.default_rng(6).normal(size=(8, 8)))[0]
    turned = Factors(turn.T @ one.a, one.b @ turn)
    assert distance(one, one) <= 1e-12 * norm(one)
    assert distance(one, turned) <= 1e-12 * norm(one)


# Decoding


def test_numbers_are_read_as_they_were_written() -> None:
    values = np.array([0.0, -0.0, 1.5, -3.25, 2.0**-126, 65504.0])
    assert decode(values.astype("<f4").tobytes(), "F32").tolist() == values.astype("<f4").tolist()
    assert decode(values.astype("<f2").tobytes(), "F16").tolist() == values.astype("<f2").tolist()


@example(0x7F81)  # a signalling NaN
@given(st.integers(0, 2**16 - 1))
def test_bfloat16_is_the_upper_half_of_a_float32(bits: int) -> None:
    (meant,) = struct.unpack(">f", struct.pack(">HH", bits, 0))
    (found,) = decode(struct.pack("<H", bits), "BF16")
    assert found == meant or (found != found and meant != meant)


def test_other_dtypes_are_no_adapters() -> None:
    with pytest.raises(ValueError, match="I8 is no floating point"):
        decode(b"\0", "I8")


# From a file


@pytest.mark.parametrize("rslora", [False, True])
def test_the_scale_is_the_modules_own(rslora: bool, tmp_path: Path) -> None:
    """Alpha from ``alpha_pattern``, rank from the weights, and rsLoRA's root."""
    path = write_safetensors(tmp_path / "w", adapter_tensors(4, 0))
    data = path.read_bytes()
    pattern = {"alpha_pattern": {"v_proj": 32}, "use_rslora": rslora, "target_modules": ("q_proj", "v_proj")}
    known = {key: value for key, value in adapter_config(4).items() if key in PeftConfig.model_fields}
    deltas = Deltas(io.BytesIO(data), len(data), PeftConfig.model_validate(known | pattern))
    assert len(deltas.modules) == 4
    tensors = adapter_tensors(4, 0)
    for module in deltas.modules:
        a, b = (tensors[f"base_model.model.{module}.lora_{side}.weight"].astype(np.float64) for side in "AB")
        alpha = 32 if module.endswith("v_proj") else 8
        scale = alpha / (2 if rslora else 4)
        found = deltas.factors(module)
        assert found is not None
        assert found.shape == (b.shape[0], a.shape[1])
        assert np.allclose(full(found), scale * b @ a, rtol=1e-12)
    assert deltas.factors("model.layers.0.mlp.up_proj") is None
