"""Weights against configuration and base: whatever would be served in part, or otherwise than trained, is refused."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.registry.artifacts import read_artifact
from tests.tiny import (
    ALL_LINEAR,
    HIDDEN,
    VOCABULARY,
    adapter_tensors,
    change_config,
    change_tensors,
    safetensors_bytes,
    tiny_adapter,
    write_safetensors,
)

from lorarack.registry import Base
from lorarack.registry.errors import InvalidArtifact

Q = "base_model.model.model.layers.0.self_attn.q_proj"
ONES_A, ONES_B = np.ones((4, HIDDEN), np.float32), np.ones((HIDDEN, 4), np.float32)


def problems_of(folder: Path, base: Base) -> tuple[str, ...]:
    with pytest.raises(InvalidArtifact) as raised:
        read_artifact(folder, base)
    return raised.value.problems


# What is whole


def test_what_an_adapter_is_comes_from_its_files(adapter: Path, base: Base) -> None:
    artifact = read_artifact(adapter, base)
    assert (artifact.rank, artifact.config.lora_alpha, artifact.config.use_rslora, artifact.dtype) == (
        4,
        8.0,
        False,
        "f32",
    )
    assert artifact.target_modules == ("q_proj", "v_proj")
    assert artifact.parameters == sum(array.size for array in adapter_tensors().values())
    assert artifact.weights_bytes == (adapter / "adapter_model.safetensors").stat().st_size


@pytest.mark.parametrize("rank", [1, 4, 64, 512])
def test_any_rank_that_an_engine_can_hold_is_whole(rank: int, tmp_path: Path, base: Base) -> None:
    assert read_artifact(tiny_adapter(tmp_path / "a", rank=rank, targets=ALL_LINEAR), base).rank == rank


def test_the_rank_of_a_version_is_its_largest(adapter: Path, base: Base) -> None:
    """With ``rank_pattern`` some modules are larger than ``r`` says; an engine's slot must hold those."""
    change_config(adapter, rank_pattern={"layers.0.self_attn.q_proj": 12})
    wide = {
        f"{Q}.lora_A.weight": np.ones((12, HIDDEN), np.float32),
        f"{Q}.lora_B.weight": np.ones((HIDDEN, 12), np.float32),
    }
    change_tensors(adapter, wide)
    assert read_artifact(adapter, base).rank == 12


def test_the_tied_head_and_the_embedding_can_be_adapted(adapter: Path, base: Base) -> None:
    """The tied head has no tensor of its own in the base's files; an embedding's A and B are the other way round."""
    change_config(adapter, target_modules=["q_proj", "v_proj", "lm_head", "embed_tokens"])
    change_tensors(
        adapter,
        {
            "base_model.model.lm_head.lora_A.weight": ONES_A,
            "base_model.model.lm_head.lora_B.weight": np.ones((VOCABULARY, 4), np.float32),
            "base_model.model.model.embed_tokens.lora_embedding_A": np.ones((4, VOCABULARY), np.float32),
            "base_model.model.model.embed_tokens.lora_embedding_B": np.ones((HIDDEN, 4), np.float32),
        },
    )
    assert read_artifact(adapter, base).target_modules == ("embed_tokens", "lm_head", "q_proj", "v_proj")


@pytest.mark.parametrize(("bits", "dtype"), [("float16", "f16"), ("uint16", "bf16")])
def test_half_precision_is_whole(bits: str, dtype: str, adapter: Path, base: Base) -> None:
    half = {name: array.astype(np.float16).view(bits) for name, array in adapter_tensors().items()}
    if bits == "uint16":
        half = {name: (array.view(np.uint32) >> 16).astype(np.uint16) for name, array in adapter_tensors().items()}
    write_safetensors(adapter / "adapter_model.safetensors", half)
    assert read_artifact(adapter, base).dtype == dtype


# What is not

Change = Mapping[str, NDArray[Any] | None]
BROKEN: dict[str, tuple[Change, str]] = {
    "A without B": ({f"{Q}.lora_B.weight": None}, "q_proj' has lora_A or lora_B only; the file is not whole"),
    "B without A": ({f"{Q}.lora_A.weight": None}, "q_proj' has lora_A or lora_B only"),
    "ranks of A and B differ": ({f"{Q}.lora_B.weight": ONES_B[:, :3]}, "do not share one rank"),
    "a rank that the configuration does not know": (
        {f"{Q}.lora_A.weight": ONES_A[:2], f"{Q}.lora_B.weight": ONES_B[:, :2]},
        "has weights of rank 2, but the configuration says 4",
    ),
    "rank 0": (
        {f"{Q}.lora_A.weight": ONES_A[:0], f"{Q}.lora_B.weight": ONES_B[:, :0]},
        "has empty or flat matrices, as a model sharded by ZeRO-3 or FSDP leaves them; gather it before saving",
    ),
    "three dimensions": ({f"{Q}.lora_A.weight": ONES_A[None]}, "do not share one rank"),
    "another width": (
        {f"{Q}.lora_A.weight": np.ones((4, 99), np.float32)},
        "lora_A takes 99 and lora_B gives 16, but base 'tiny' has 16 and 16 there; it was trained on another base",
    ),
    "another height": (
        {f"{Q}.lora_B.weight": np.ones((99, 4), np.float32)},
        "lora_A takes 16 and lora_B gives 99, but base 'tiny' has 16 and 16",
    ),
    "a module that the base has not": (
        {
            "base_model.model.model.layers.7.self_attn.q_proj.lora_A.weight": ONES_A,
            "base_model.model.model.layers.7.self_attn.q_proj.lora_B.weight": ONES_B,
        },
        "layers.7.self_attn.q_proj' is no module of base 'tiny'",
    ),
    "a module that is not targeted": (
        {
            "base_model.model.model.layers.0.self_attn.o_proj.lora_A.weight": ONES_A,
            "base_model.model.model.layers.0.self_attn.o_proj.lora_B.weight": ONES_B,
        },
        "o_proj' has weights but is not among target_modules, so PEFT would not apply them",
    ),
    "a whole module": ({"base_model.model.lm_head.weight": ONES_A}, "is no LoRA weight that vLLM would apply"),
    "a DoRA magnitude": ({f"{Q}.lora_magnitude_vector": ONES_A[0]}, "is no LoRA weight"),
    "a name that is not PEFT's": ({"q_proj.lora_A.weight": ONES_A}, "'q_proj.lora_A.weight' is no LoRA weight"),
    "half linear, half embedding": (
        {f"{Q}.lora_B.weight": None, f"{Q}.lora_embedding_B": ONES_B},
        "lora_embedding_B' is no LoRA weight",
    ),
    "NaN": ({f"{Q}.lora_A.weight": ONES_A * np.nan}, "holds NaN or infinity; the training diverged"),
    "infinity": ({f"{Q}.lora_B.weight": ONES_B * np.inf}, "holds NaN or infinity"),
    "infinity in half precision": ({f"{Q}.lora_B.weight": (ONES_B * np.inf).astype(np.float16)}, "NaN or infinity"),
    "bfloat16 NaN": ({f"{Q}.lora_A.weight": np.full((4, HIDDEN), 0x7FC0, np.uint16)}, "holds NaN or infinity"),
    "whole numbers": ({f"{Q}.lora_A.weight": ONES_A.astype(np.int8)}, "is not float32, float16 or bfloat16; save"),
    "double precision": ({f"{Q}.lora_A.weight": ONES_A.astype(np.float64)}, "is not float32, float16 or bfloat16"),
    "every B zero": (
        {name: array * -0.0 for name, array in adapter_tensors().items() if "lora_B" in name},
        "every lora_B is zero, so the adapter changes nothing; it has not been trained",
    ),
}


@pytest.mark.parametrize(("changes", "said"), BROKEN.values(), ids=BROKEN)
def test_weights_that_would_not_be_served_as_trained_are_refused(
    changes: Change, said: str, adapter: Path, base: Base
) -> None:
    change_tensors(adapter, changes)
    problems = problems_of(adapter, base)
    assert any(said in problem for problem in problems), problems


def test_one_nan_is_found_wherever_it_hides(adapter: Path, base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in the last number of the last of many chunks."""
    monkeypatch.setattr("lorarack.registry.disk._COPY_BYTES", 7)  # pieces end within numbers
    a = ONES_A.copy()
    a[-1, -1] = np.nan
    assert read_artifact(adapter, base)
    change_tensors(adapter, {f"{Q}.lora_A.weight": a})
    assert "NaN or infinity" in problems_of(adapter, base)[0]


def test_one_b_that_is_not_zero_is_enough(adapter: Path, base: Base) -> None:
    """Training may well leave some layers untouched."""
    zero: dict[str, NDArray[Any]] = {n: array * 0 for n, array in adapter_tensors().items() if "lora_B" in n}
    zero[f"{Q}.lora_B.weight"] = ONES_B * np.float32(1e-40)
    change_tensors(adapter, zero)
    assert read_artifact(adapter, base)


DAMAGE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "cut short": (lambda data: data[:-5], "adapter_model.safetensors: the file is cut short; save or copy it again"),
    "empty": (lambda _: b"", "the file is too short to be safetensors"),
    "another kind of file": (lambda _: b"z" * 100, "its header claims"),
    "a pickle by this name": (lambda _: b"PK\x03\x04" + b"z" * 100, "adapter_model.safetensors is a pickle"),
    "an old pickle by this name": (lambda _: b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19." + b"z" * 9, "is a pickle"),
    "a Git LFS pointer": (
        lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12345\n",
        "adapter_model.safetensors is a Git LFS pointer, not the file; run 'git lfs pull'",
    ),
    "a web page": (
        lambda _: b"<!DOCTYPE html><html><body>Sign in</body></html>",
        "is a web page, not the file; download",
    ),
    "GGUF": (lambda _: b"GGUF" + b"\3" * 60, "is a GGUF file, llama.cpp's format; publish the PEFT folder"),
    "no tensors": (lambda _: safetensors_bytes({}), "adapter_model.safetensors holds no tensors"),
    "empty tensors": (
        lambda _: safetensors_bytes({f"{Q}.lora_A.weight": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}),
        "holds no numbers: all its tensors are empty; a model that is sharded (ZeRO-3, FSDP)",
    ),
}


@pytest.mark.parametrize(("damage", "said"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_file_is_refused(damage: Callable[[bytes], bytes], said: str, adapter: Path, base: Base) -> None:
    path = adapter / "adapter_model.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    assert said in problems_of(adapter, base)[0]


def test_all_problems_are_reported_at_once_and_each_once(adapter: Path, base: Base) -> None:
    """Somebody who mends everything in the list is done."""
    change_config(adapter, use_dora=True)
    change_tensors(
        adapter,
        {
            f"{Q}.lora_A.weight": ONES_A * np.nan,
            "base_model.model.model.layers.0.self_attn.v_proj.lora_B.weight": None,
            "base_model.model.lm_head.weight": ONES_A,
            "base_model.model.model.layers.9.mlp.up_proj.lora_A.weight": ONES_A,
        },
    )
    problems = problems_of(adapter, base)
    for part in ("DoRA", "NaN", "v_proj", "lm_head.weight", "layers.9.mlp.up_proj"):
        assert any(part in problem for problem in problems), (part, problems)
    assert len(set(problems)) == len(problems)


def test_a_long_list_is_cut_and_counted(tmp_path: Path, base: Base) -> None:
    """Another base breaks every module; a person reads three of them."""
    folder = tiny_adapter(tmp_path / "a", targets=ALL_LINEAR)
    narrower = base.model_copy(update={"modules": dict.fromkeys(base.modules, (4, 4))})
    problems = problems_of(folder, narrower)
    assert len(problems) == 4
    assert problems[-1] == "and the same for 11 more modules"


def test_odd_names_are_shown_escaped_and_short(adapter: Path, base: Base) -> None:
    """A tensor's name is any text: control characters, half of a surrogate pair, a megabyte."""
    odd = "base_model.model.\x1b[31m\ud800" + "x" * 100_000
    raw = {
        f"{odd}.{side}.weight": {"dtype": "F32", "shape": shape, "data_offsets": place}
        for side, shape, place in (("lora_A", [2, 1], [0, 8]), ("lora_B", [1, 2], [8, 16]))
    }
    (adapter / "adapter_model.safetensors").write_bytes(safetensors_bytes(raw, np.ones(4, np.float32).tobytes()))
    for problem in problems_of(adapter, base):
        assert problem.isprintable()
        assert len(problem) < 500
        problem.encode()


def test_patterns_that_take_for_ever_are_refused_in_time(adapter: Path, base: Base) -> None:
    """A pattern may be quick on one name and endless on another; the whole check stays within seconds."""
    slow = {rf"(\w|\.|[a-z])*v[A-Z]{{{count}}}|v_proj": 4 for count in range(1, 30)}
    change_config(adapter, rank_pattern=slow)
    assert any("pattern" in problem for problem in problems_of(adapter, base))
