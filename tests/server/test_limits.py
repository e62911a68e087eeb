"""A version is served whole or refused with the reason and the remedy."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.server.values import LIMITS, version

from lorarack.registry import State
from lorarack.server.limits import RANK_BUCKETS, Limits, incompatibility, rank_bucket, unpacked

OTHER = "sha256:" + "c" * 64


def test_a_fitting_version_is_served() -> None:
    assert incompatibility(version(), LIMITS) is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rank": 17}, "--max-lora-rank 32"),
        ({"base": "other", "base_fingerprint": OTHER}, "lorarack serve other"),
        ({"base_fingerprint": OTHER}, "other weights"),
        ({"state": State.QUARANTINED}, "quarantined"),
        ({"state": State.ARCHIVED}, "archived"),
    ],
)
def test_what_cannot_be_served_whole_is_refused_with_the_remedy(changes: dict[str, Any], said: str) -> None:
    reason = incompatibility(version(**changes), LIMITS)
    assert reason is not None
    assert said in reason


def test_modules_that_the_server_leaves_out_are_named() -> None:
    """vLLM would serve such a version in part, without a word."""
    limits = Limits(LIMITS.base, LIMITS.fingerprint, 16, target_modules=frozenset({"qkv_proj"}))
    assert incompatibility(version(target_modules=("q_proj", "k_proj")), limits) is None
    reason = incompatibility(version(target_modules=("q_proj", "down_proj")), limits)
    assert reason is not None
    assert "down_proj" in reason
    assert "q_proj" not in reason


def test_embeddings_only_where_the_model_takes_them() -> None:
    limits = Limits(LIMITS.base, LIMITS.fingerprint, 16, embeddings=frozenset())
    assert incompatibility(version(target_modules=("lm_head", "q_proj")), limits) is not None
    assert incompatibility(version(target_modules=("lm_head", "q_proj")), LIMITS) is None


@given(st.integers(1, 512))
def test_a_bucket_holds_its_rank_and_no_smaller_one_does(rank: int) -> None:
    size = rank_bucket(rank)
    assert size >= rank
    assert all(other < rank for other in RANK_BUCKETS if other < size)


def test_a_part_reaches_its_packed_layer_and_so_the_other_parts() -> None:
    assert unpacked(["model.layers.0.self_attn.q_proj"]) == {"qkv_proj", "q_proj", "k_proj", "v_proj"}
    assert unpacked(["gate_up_proj", "o_proj"]) == {"gate_up_proj", "gate_proj", "up_proj", "o_proj"}


def test_a_server_of_a_copy_serves_the_originals_versions() -> None:
    limits = Limits("smol-awq", OTHER, 16, originals=frozenset({LIMITS.fingerprint}))
    assert incompatibility(version(), limits) is None
    assert incompatibility(version(base="else", base_fingerprint="sha256:" + "d" * 64), limits) is not None
