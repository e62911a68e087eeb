"""The base's own embedding in an adapter's file: kept where it is the base's, whatever it was stored in; else refused."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.tiny import (
    HIDDEN,
    VOCABULARY,
    adapter_tensors,
    base_tensors,
    change_config,
    tiny_adapter,
    write_json,
    write_safetensors,
)

from lorarack.registry import Base, Registry
from lorarack.registry.artifact.base_weights import rounded
from lorarack.registry.errors import InvalidArtifact

HEAD = "base_model.model.lm_head"
EMBEDDING = "base_model.model.model.embed_tokens"
OWN = base_tensors()["model.embed_tokens.weight"]


def bfloat16(numbers: NDArray[np.float32]) -> NDArray[np.uint16]:
    """As torch rounds: to the nearest, ties to even."""
    return (rounded(numbers, "BF16").view(np.uint32) >> 16).astype(np.uint16)


def with_head(folder: Path, weight: NDArray[np.generic], name: str = f"{HEAD}.base_layer.weight") -> Path:
    """An adapter on the tied head, with a base's weight in it as PEFT's save_pretrained writes it."""
    change_config(tiny_adapter(folder), target_modules=["q_proj", "v_proj", "lm_head"])
    head = {
        f"{HEAD}.lora_A.weight": np.ones((4, HIDDEN), np.float32),
        f"{HEAD}.lora_B.weight": np.ones((VOCABULARY, 4), np.float32),
        name: weight,
    }
    write_safetensors(folder / "adapter_model.safetensors", adapter_tensors() | head)
    return folder


AS_SAVED = {
    "float32": OWN,
    "float16": OWN.astype(np.float16),
    "bfloat16": bfloat16(OWN),
    "bfloat16, widened again": rounded(OWN, "BF16"),
    "float16, widened again": OWN.astype(np.float16).astype(np.float32),
}


@pytest.mark.parametrize("weight", AS_SAVED.values(), ids=AS_SAVED)
def test_the_bases_own_weight_publishes(weight: NDArray[np.generic], tmp_path: Path, registry: Registry) -> None:
    """PEFT and vLLM then serve one function; the file is stored as it is, and counts as what was trained."""
    published = registry.publish(with_head(tmp_path / "a", weight), "support", base="tiny")
    assert any("the base's own embedding" in note and "save_embedding_layers=False" in note for note in published.notes)
    plain = 4 * (HIDDEN + VOCABULARY) + sum(array.size for array in adapter_tensors().values())
    assert published.version.parameters == plain
    assert published.version.dtype == "f32"
    registry.fetch(published.version, tmp_path / "out")
    assert (tmp_path / "out" / "adapter_model.safetensors").read_bytes() == (
        tmp_path / "a" / "adapter_model.safetensors"
    ).read_bytes()


def test_the_embedding_and_the_head_are_one_in_a_base_that_ties_them(tmp_path: Path, registry: Registry) -> None:
    folder = with_head(tmp_path / "a", OWN, f"{EMBEDDING}.base_layer.weight")
    assert registry.publish(folder, "support", base="tiny").created


def off_by_one_bit() -> NDArray[np.float32]:
    changed = OWN.copy()
    changed.view(np.uint32)[-1, -1] ^= 1
    return changed


OTHERS = {
    "one bit of the last number": (off_by_one_bit(), "is not the weight of base 'tiny'.*save_embedding_layers=False"),
    "another model's": (base_tensors(seed=1)["model.embed_tokens.weight"], "is not the weight of base 'tiny'"),
    "more rows": (np.ones((VOCABULARY + 8, HIDDEN), np.float32), "has other rows than base 'tiny': tokens were added"),
    "another width": (np.ones((VOCABULARY, HIDDEN + 1), np.float32), "is not the weight of base 'tiny'"),
}


@pytest.mark.parametrize(("weight", "said"), OTHERS.values(), ids=OTHERS)
def test_any_other_weight_is_refused(
    weight: NDArray[np.generic], said: str, tmp_path: Path, registry: Registry
) -> None:
    """PEFT would load it and vLLM would not."""
    with pytest.raises(InvalidArtifact, match=said):
        registry.publish(with_head(tmp_path / "a", weight), "support", base="tiny")


def test_where_the_base_cannot_be_read_that_is_said(tmp_path: Path, registry: Registry, base: Base) -> None:
    """Neither accepted unseen, nor blamed on the adapter."""
    moved = tmp_path / "moved"
    write_json(moved, {})
    gone = base.model_copy(update={"ids": ()})
    from tests.registry.artifacts import read_artifact

    from lorarack.registry.base_model.known_base import KnownBase
    from lorarack.registry.hub.base_files import files_of

    folder = with_head(tmp_path / "a", OWN)
    for contents in (None, KnownBase(gone, files_of)):
        with pytest.raises(
            InvalidArtifact, match=r"cannot be compared with base 'tiny'.*make the base's files reachable"
        ):
            read_artifact(folder, gone, contents)


@pytest.mark.parametrize("name", [f"{HEAD}.weight", f"{EMBEDDING}.weight", f"{HEAD}.modules_to_save.weight"])
def test_a_whole_embedding_is_refused_with_the_way_out(name: str, tmp_path: Path, registry: Registry) -> None:
    with pytest.raises(InvalidArtifact, match=r"whole embedding or head.*save_embedding_layers=False.*train LoRA on"):
        registry.publish(with_head(tmp_path / "a", OWN, name), "support", base="tiny")


# Adapters that PEFT ties


def tied(folder: Path, change: float = 0.0) -> Path:
    """Adapters of embedding and head that are one, as ``ensure_weight_tying`` makes them."""
    random = np.random.default_rng(0)
    a = random.normal(0, 1, (4, HIDDEN)).astype(np.float32)
    b = random.normal(0, 1, (VOCABULARY, 4)).astype(np.float32)
    tiny_adapter(folder, ensure_weight_tying=True, target_modules=["q_proj", "v_proj", "model.embed_tokens"])
    both = {
        f"{HEAD}.lora_A.weight": a,
        f"{HEAD}.lora_B.weight": b,
        f"{EMBEDDING}.lora_embedding_A": np.ascontiguousarray(b.T),
        f"{EMBEDDING}.lora_embedding_B": np.ascontiguousarray(a.T) + np.float32(change),
    }
    write_safetensors(folder / "adapter_model.safetensors", adapter_tensors() | both)
    return folder


def test_tied_adapters_publish_where_both_are_in_the_file(tmp_path: Path, registry: Registry) -> None:
    """vLLM applies each as the file has it, which is then what PEFT applies."""
    published = registry.publish(tied(tmp_path / "a"), "support", base="tiny")
    assert {"embed_tokens", "lm_head"} <= set(published.version.target_modules)


def test_tied_adapters_that_differ_are_refused(tmp_path: Path, registry: Registry) -> None:
    with pytest.raises(InvalidArtifact, match="lm_head's weights are not embed_tokens' transposed"):
        registry.publish(tied(tmp_path / "a", change=1.0), "support", base="tiny")
