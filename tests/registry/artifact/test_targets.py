"""Which modules PEFT puts an adapter on, by its own rules; and what becomes of weights on any other."""

from pathlib import Path
from typing import Any

import pytest
from tests.registry.artifacts import read_artifact
from tests.tiny import ALL_LINEAR, change_config, tiny_adapter

from lorarack.registry import Base, Registry
from lorarack.registry.artifact.adapter_config import canonical_config
from lorarack.registry.artifact.peft_config import PeftConfig
from lorarack.registry.errors import InvalidArtifact

MODULES = (
    "model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.q_proj", "model.layers.11.mlp.experts.1.up_proj",
    "model.vision.blocks.1.q_proj", "model.layers.1.mlp.up_proj", "layers.1.q_proj", "q_proj", "xq_proj", "lm_head",
    "model.embed_tokens", "model.layers.1.q_proj.inner",
)  # fmt: skip
#: Keys of a configuration that say where an adapter sits; held against PEFT itself in ``test_peft_facts``.
RULES: tuple[dict[str, Any], ...] = (
    {"target_modules": ["q_proj"]},
    {"target_modules": ["q_proj", "q_proj", "up_proj"]},
    {"target_modules": ["self_attn.q_proj", "model.layers.1.mlp.up_proj"]},
    {"target_modules": []},
    {"target_modules": r".*layers\.[01]\..*(q|up)_proj"},
    {"target_modules": "q_proj"},
    {"target_modules": ["q_proj"], "exclude_modules": ["vision.blocks.1.q_proj"]},
    {"target_modules": ["q_proj"], "exclude_modules": r".*vision.*"},
    {"target_modules": ["q_proj"], "exclude_modules": "q_proj"},
    {"target_modules": ["q_proj"], "exclude_modules": []},
    {"target_modules": r".*q_proj", "exclude_modules": ["layers.1.self_attn.q_proj"]},
    {"target_modules": ["q_proj", "up_proj"], "layers_to_transform": [1]},
    {"target_modules": ["q_proj", "up_proj"], "layers_to_transform": 0},
    {"target_modules": ["q_proj", "up_proj"], "layers_to_transform": 1},
    {"target_modules": ["q_proj", "up_proj"], "layers_to_transform": []},
    {"target_modules": ["q_proj", "up_proj"], "layers_to_transform": [1, 11], "layers_pattern": "layers"},
    {"target_modules": ["q_proj", "up_proj"], "layers_to_transform": [1], "layers_pattern": ["blocks", "experts"]},
    {"target_modules": ["q_proj", "up_proj"], "layers_to_transform": [1], "layers_pattern": []},
    {"target_modules": ["q_proj", "up_proj"], "layers_to_transform": [1], "layers_pattern": "lay.rs"},
    {"target_modules": ["model.layers.1.self_attn.q_proj"], "layers_to_transform": [0]},
    {"target_modules": ["q_proj"], "layers_to_transform": [1], "exclude_modules": ["layers.1.q_proj"]},
)


def ours(**changes: Any) -> PeftConfig:
    return PeftConfig.model_validate({"r": 4, "lora_alpha": 8} | changes)


@pytest.mark.parametrize(
    ("rule", "taken"),
    [
        ({"target_modules": ["q_proj"], "exclude_modules": ["self_attn.q_proj"]}, False),
        ({"target_modules": ["q_proj"], "exclude_modules": ["mlp.q_proj"]}, True),
        ({"target_modules": ["q_proj"], "layers_to_transform": [0]}, True),
        ({"target_modules": ["q_proj"], "layers_to_transform": 0}, True),
        ({"target_modules": ["q_proj"], "layers_to_transform": [1]}, False),
        ({"target_modules": ["model.layers.0.self_attn.q_proj"], "layers_to_transform": [1]}, True),
        ({"target_modules": ["q_proj"], "layers_to_transform": [0], "layers_pattern": "blocks"}, False),
    ],
)
def test_a_module_is_taken_as_peft_takes_it(rule: dict[str, Any], taken: bool) -> None:
    assert ours(**rule).targets("model.layers.0.self_attn.q_proj") is taken


def test_all_linear_takes_neither_the_embedding_nor_the_head() -> None:
    rule = ours(target_modules="All-Linear")
    assert rule.targets("model.layers.0.mlp.up_proj")
    assert not any(map(rule.targets, ("lm_head", "model.embed_tokens", "score", "transformer.wte")))


def test_a_tied_head_is_taken_with_the_embedding() -> None:
    """With ``ensure_weight_tying`` PEFT writes the embedding alone into the configuration, and ties the head to it."""
    tied = ours(target_modules=["q_proj", "model.embed_tokens"], ensure_weight_tying=True)
    assert tied.targets("lm_head")
    assert not ours(target_modules=["model.embed_tokens"]).targets("lm_head")
    assert not ours(target_modules=["q_proj"], ensure_weight_tying=True).targets("lm_head")


def test_many_names_are_looked_up_not_searched() -> None:
    """PEFT writes one name a module where it must; an adapter on all experts has tens of thousands."""
    names = [f"model.layers.{layer}.mlp.experts.{expert}.up_proj" for layer in range(60) for expert in range(500)]
    config = ours(target_modules=names)
    assert all(map(config.targets, names))
    assert not config.targets("model.layers.60.mlp.experts.0.up_proj")


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"exclude_modules": ["layers.0.self_attn.q_proj"]}, r"\(with exclude_modules\)"),
        ({"exclude_modules": r".*layers\.1.*"}, r"\(with exclude_modules\)"),
        ({"layers_to_transform": [0]}, r"\(with layers_to_transform\)"),
        ({"layers_to_transform": 1}, r"\(with layers_to_transform\)"),
        ({"layers_to_transform": [0, 1], "layers_pattern": "blocks"}, r"layers_to_transform, layers_pattern"),
        ({"target_modules": r".*layers\.0.*"}, "among target_modules, so"),
        ({"target_modules": []}, "among target_modules, so"),
    ],
)
def test_weights_that_peft_would_not_load_are_refused(
    rule: dict[str, Any], said: str, adapter: Path, base: Base
) -> None:
    """vLLM would serve them: the two would not be one adapter."""
    change_config(adapter, **rule)
    with pytest.raises(InvalidArtifact, match=said) as raised:
        read_artifact(adapter, base)
    assert "PEFT would not apply them and vLLM would" in raised.value.message


@pytest.mark.parametrize(
    "rule",
    [
        {"exclude_modules": ["vision"]},
        {"layers_to_transform": [0, 1]},
        {"layers_to_transform": [0, 1, 2, 3], "layers_pattern": ["layers"]},
        {"target_modules": r".*\.(q|v)_proj"},
        {"target_modules": "ALL-LINEAR"},
        {"target_parameters": []},
    ],
)
def test_weights_that_peft_loads_are_accepted(rule: dict[str, Any], adapter: Path, base: Base) -> None:
    change_config(adapter, **rule)
    assert read_artifact(adapter, base).target_modules == ("q_proj", "v_proj")


def test_all_linear_in_any_case_publishes(tmp_path: Path, base: Base) -> None:
    folder = tiny_adapter(tmp_path / "a", targets=ALL_LINEAR, target_modules="All-Linear")
    assert len(read_artifact(folder, base).target_modules) == len(ALL_LINEAR)


def test_repeated_targets_are_the_same_version(tmp_path: Path, registry: Registry) -> None:
    """A list that stands for a set: neither order nor repetition makes another adapter."""
    first = registry.publish(tiny_adapter(tmp_path / "a"), "support", base="tiny")
    for place, names in enumerate((["q_proj", "v_proj", "q_proj"], ["v_proj", "q_proj", "v_proj", "v_proj"])):
        again = registry.publish(tiny_adapter(tmp_path / str(place), target_modules=names), "support", base="tiny")
        assert (again.created, again.version.digest) == (False, first.version.digest)
    assert canonical_config({"target_modules": ["a", "b", "a"]}) == canonical_config({"target_modules": ["b", "a"]})
