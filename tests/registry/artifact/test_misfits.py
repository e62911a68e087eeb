"""Weights under names that PEFT and vLLM do not apply: the cause is told apart, and the way out leads to a version."""

import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.registry.artifacts import read_artifact
from tests.tiny import HIDDEN, LAYERS, VOCABULARY, adapter_tensors, tiny_adapter, write_safetensors

from lorarack.registry import Base, Registry
from lorarack.registry.artifact.misfits import unknown_module_problems, unknown_tensor_problems
from lorarack.registry.artifact.weights import Tensor
from lorarack.registry.errors import InvalidArtifact

Rename = Callable[[str], str]
PREFIX = "base_model.model."


def renamed(folder: Path, rename: Rename) -> Path:
    write_safetensors(
        tiny_adapter(folder) / "adapter_model.safetensors",
        {rename(name): array for name, array in adapter_tensors().items()},
    )
    return folder


def problems_of(folder: Path, base: Base) -> tuple[str, ...]:
    with pytest.raises(InvalidArtifact) as raised:
        read_artifact(folder, base)
    return raised.value.problems


def inside(part: str) -> Rename:
    """``part`` behind the names of layers, where wrappers of single blocks leave it."""
    return lambda name: name.replace("self_attn.", f"{part}self_attn.")


#: What each names, what is said, and the part that is to be taken out (or, with ``+``, put before).
NAMES: dict[str, tuple[Rename, str, str]] = {
    "torch.compile": (lambda n: f"_orig_mod.{n}", r"left by torch.compile; save the model that was compiled", "_orig_mod."),
    "torch.compile inside": (lambda n: n.replace(PREFIX, f"{PREFIX}_orig_mod."), "left by torch.compile", "_orig_mod."),
    "torch.compile of each block": (inside("_orig_mod."), "left by torch.compile", "_orig_mod."),
    "DistributedDataParallel": (lambda n: f"module.{n}", "left by DistributedDataParallel or DeepSpeed", "module."),
    "FSDP": (inside("_fsdp_wrapped_module."), "left by FSDP; save the gathered model", "_fsdp_wrapped_module."),
    "FSDP around it": (lambda n: f"_fsdp_wrapped_module.{n}", "left by FSDP", "_fsdp_wrapped_module."),
    "checkpointing": (inside("_checkpoint_wrapped_module."), "left by activation checkpointing", "_checkpoint_wrapped_module."),
    "a state_dict": (
        lambda n: n.replace(".weight", ".default.weight"), "'default' is the adapter's name inside.*model.save_pretrained",
        ".default",
    ),
    "a state_dict, another adapter": (
        lambda n: n.replace(".weight", ".sft-v2.weight"), "'sft-v2' is the adapter's name inside", ".sft-v2",
    ),
    "Lightning": (lambda n: f"model.{n}", "'model.' stands before PEFT's prefix, left by a class around the model", "model."),
    "no prefix": (lambda n: n.removeprefix(PREFIX), "PEFT's prefix is missing, so PEFT would load nothing", f"+{PREFIX}"),
    "half a prefix": (lambda n: n.removeprefix("base_model."), "PEFT's prefix is missing", ""),
    "no head": (lambda n: n.replace("model.model.model.", "model.model."), r"without its head \(AutoModel\)", ""),
    "a model around": (lambda n: n.replace(PREFIX, f"{PREFIX}thinker."), "there without 'thinker.'.*a model around", "thinker."),
    "an image model": (lambda n: f"lora_unet_{n}", "a LoRA for an image model", ""),
    "kohya": (lambda n: n.replace("lora_A", "lora_down").replace("lora_B", "lora_up"), "a LoRA for an image model", ""),
    "MLX": (
        lambda n: n.removeprefix(PREFIX).replace("lora_A.weight", "lora_a").replace("lora_B.weight", "lora_b"),
        "MLX writes such names; transpose", "",
    ),
    "torchtune": (lambda n: n.replace("lora_A", "lora_a").replace("lora_B", "lora_b"), "torchtune names them so", ""),
    "Tinker": (
        lambda n: n.replace("self_attn.q_proj", "mlp.experts.w1").replace("self_attn.v_proj", "mlp.experts.w2"),
        "Tinker names them so; make PEFT's names of them with tinker_cookbook", "",
    ),
    "deeper": (lambda n: n.replace("layers.1.", "layers.7."), f"its last layer there is {LAYERS - 1}; .* a deeper model", ""),
    "fused": (
        lambda n: n.replace("q_proj", "qkv_proj"), "beside it the base has .*'q_proj'.*in another form", "",
    ),
    "another architecture": (
        lambda n: n.replace("model.layers.", "transformer.h.").replace("self_attn", "attn"),
        "check that --base names the model it was trained on", "",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("rename", "said", "part"), NAMES.values(), ids=NAMES)
def test_the_cause_is_told_and_the_base_not_blamed(
    rename: Rename, said: str, part: str, tmp_path: Path, registry: Registry, base: Base
) -> None:
    problems = problems_of(renamed(tmp_path / "a", rename), base)
    assert re.search(said, "\n".join(problems)), problems
    if "check that --base" not in said:
        assert not any("check that --base" in problem or "another base" in problem for problem in problems), problems
    if part:  # the way out is true: done as it says, the folder publishes
        mended: Rename = lambda n: part[1:] + rename(n) if part[0] == "+" else rename(n).replace(part, "", 1)  # noqa: E731
        assert registry.publish(renamed(tmp_path / "b", mended), "support", base="tiny").created


def test_several_wrappers_are_named_at_once(tmp_path: Path, registry: Registry, base: Base) -> None:
    """Who mends what the sentence says is done."""
    (problem,) = problems_of(renamed(tmp_path / "a", lambda name: f"_orig_mod.module.{name}"), base)
    assert "'_orig_mod.' and 'module.' in its name is left by torch.compile and DistributedDataParallel" in problem


def test_one_cause_is_one_problem(tmp_path: Path, base: Base) -> None:
    (problem,) = problems_of(renamed(tmp_path / "a", lambda name: f"_orig_mod.{name}"), base)
    assert "(and 5 more)" in problem
    assert problem.isprintable()


@pytest.mark.parametrize(
    ("prefix", "said"),
    [
        ("thinker.", "there it is called 'thinker.…'"),
        ("model.", "without its head"),
        ("language_model.", "'language_model.…'"),
    ],
)
def test_an_adapter_on_a_part_of_the_base_is_told_by_its_prefix(
    prefix: str, said: str, adapter: Path, base: Base
) -> None:
    whole = base.model_copy(update={"modules": {f"{prefix}{name}": shape for name, shape in base.modules.items()}})
    (problem,) = problems_of(adapter, whole)
    assert said in problem
    assert f"'base_model.model.{prefix}' for 'base_model.model.'" in problem


# What else a file may hold

Q = f"{PREFIX}model.layers.0.self_attn.q_proj"
EXTRA: dict[str, tuple[str, tuple[int, ...], str]] = {
    "DoRA": (f"{Q}.lora_magnitude_vector", (HIDDEN,), "DoRA's magnitude"),
    "VeLoRA": (f"{Q}.lora_velora_embed", (HIDDEN,), "needed only while VeLoRA or MonteCLoRA trains.*the same without it"),
    "MonteCLoRA": (f"{Q}.lora_monteclora_sampler.std_prior", (4,), "needed only while VeLoRA or MonteCLoRA trains"),
    "KaSA": (f"{Q}.lora_diag", (4,), "it is KaSA's"),
    "AdaLoRA": (f"{Q}.lora_E", (4, 1), "it is AdaLoRA's"),
    "a LoRA bias": (f"{Q}.lora_B.bias", (HIDDEN,), "it is a LoRA bias"),
    "the base's weights": (f"{Q}.base_layer.weight", (HIDDEN, HIDDEN), "a weight of the base, as in model.state_dict"),
    "a whole weight": (f"{PREFIX}model.norm.weight", (HIDDEN,), "a whole weight, not an adapter's"),
    "a whole module": (f"{PREFIX}score.modules_to_save.default.weight", (2, HIDDEN), "a whole trained module"),
    "token embeddings": (
        f"{PREFIX}model.embed_tokens.trainable_tokens_delta", (2, HIDDEN), "trained token embeddings are not served",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("name", "shape", "said"), EXTRA.values(), ids=EXTRA)
def test_what_else_is_in_the_file_is_named_for_what_it_is(
    name: str, shape: tuple[int, ...], said: str, adapter: Path, base: Base
) -> None:
    more = {name: np.ones(shape, np.float32)}
    write_safetensors(adapter / "adapter_model.safetensors", {**adapter_tensors(), **more})
    (problem,) = problems_of(adapter, base)
    assert re.search(said, problem), problem
    assert f"{name!r} is no LoRA weight that vLLM would apply" in problem


def ones(*shape: int) -> NDArray[np.float32]:
    return np.ones(shape, np.float32)


SHAPES: dict[str, tuple[Mapping[str, NDArray[Any]], str]] = {
    "one empty matrix": (
        {f"{Q}.lora_A.weight": ones(0)},
        "has empty or flat matrices, as a model sharded by ZeRO-3 or FSDP",
    ),
    "empty of two sides": ({f"{Q}.lora_B.weight": ones(0, 4)}, "empty or flat matrices"),
    "a flat piece": ({f"{Q}.lora_A.weight": ones(4 * HIDDEN // 2)}, "empty or flat matrices"),
    "transposed": (
        {f"{Q}.lora_A.weight": ones(HIDDEN, 4), f"{Q}.lora_B.weight": ones(4, HIDDEN)},
        "are transposed, as MLX has them; transpose both",
    ),
    "a resized head": (
        {f"{PREFIX}lm_head.lora_A.weight": ones(4, HIDDEN), f"{PREFIX}lm_head.lora_B.weight": ones(VOCABULARY + 1, 4)},
        f"it has {VOCABULARY + 1} tokens, but base 'tiny' has {VOCABULARY}; the vocabulary was resized",
    ),
    "a resized embedding": (
        {
            f"{PREFIX}model.embed_tokens.lora_embedding_A": ones(4, VOCABULARY + 8),
            f"{PREFIX}model.embed_tokens.lora_embedding_B": ones(HIDDEN, 4),
        },
        f"it has {VOCABULARY + 8} tokens, but base 'tiny' has {VOCABULARY}",
    ),
}


@pytest.mark.parametrize(("changes", "said"), SHAPES.values(), ids=SHAPES)
def test_shapes_that_do_not_fit_are_told_apart(
    changes: Mapping[str, NDArray[Any]], said: str, tmp_path: Path, base: Base
) -> None:
    """ "Trained on another base" is said of that alone."""
    folder = tiny_adapter(tmp_path / "a", target_modules=["q_proj", "v_proj", "lm_head", "embed_tokens"])
    write_safetensors(folder / "adapter_model.safetensors", {**adapter_tensors(), **changes})
    problems = problems_of(folder, base)
    assert any(said in problem for problem in problems), problems
    assert not any("another base" in problem for problem in problems)


def test_an_embedding_that_was_not_trained_changes_nothing(tmp_path: Path, base: Base) -> None:
    """PEFT begins an embedding with A zero and B drawn."""
    folder = tiny_adapter(tmp_path / "a", target_modules=["embed_tokens"])
    begun = {
        f"{PREFIX}model.embed_tokens.lora_embedding_A": ones(4, VOCABULARY) * 0,
        f"{PREFIX}model.embed_tokens.lora_embedding_B": ones(HIDDEN, 4),
    }
    write_safetensors(folder / "adapter_model.safetensors", begun)
    assert problems_of(folder, base) == (
        "every lora_A or lora_B is zero, so the adapter changes nothing; it has not been trained",
    )


def test_a_great_many_odd_names_are_told_in_few_words_and_soon(base: Base) -> None:
    """A stranger may write a hundred thousand names, each wrong in its own way."""
    odd = [f"way{number}.model.layers.{number}.self_attn.q_proj" for number in range(100_000)]
    before = time.thread_time()
    problems = unknown_module_problems(odd, base.modules, "tiny")
    strangers = [Tensor(f"x.lora_A.name{number}.weight", "F32", (1,), 0, 4) for number in range(100_000)]
    problems += unknown_tensor_problems(strangers)
    assert time.thread_time() - before < 10
    assert len(problems) < 20
    assert any(re.search("and 9[0-9]+ more names are wrong in other ways", problem) for problem in problems)
