"""Resized and scaled versions, held against PEFT on the same base."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.adapters.ranks.conftest import deltas
from tests.tiny import adapter_tensors, tiny_adapter, write_safetensors

from lorarack.registry import Registry, ServingDefaults
from lorarack.registry.errors import InvalidArtifact, UsageError

pytestmark = pytest.mark.torch

TARGETS = ["q_proj", "v_proj", "down_proj"]


def closest(delta: Any, rank: int) -> Any:
    import torch

    left, values, right = torch.linalg.svd(delta)
    return left[:, :rank] * values[:rank] @ right[:rank]


def same(found: dict[str, Any], wanted: dict[str, Any]) -> bool:
    import torch

    return found.keys() == wanted.keys() and all(
        torch.linalg.norm(found[name] - wanted[name]) <= 1e-4 * torch.linalg.norm(wanted[name]) for name in wanted
    )


@pytest.mark.parametrize("settings", [{}, {"use_rslora": True}, {"lora_alpha": 3.5}])
def test_the_effect_is_what_is_truncated(registry: Registry, tmp_path: Path, settings: dict[str, Any]) -> None:
    """alpha and rsLoRA are in it; PEFT, given the new version, adds the best approximation of what the old one adds."""
    from lorarack.adapters.ranks.resize import resize

    folder = tiny_adapter(tmp_path / "in", 8, seed=9, targets=TARGETS, **settings)
    old = registry.publish(folder, "subject", base="tiny").version
    made = resize(registry, old.reference, rank=3)
    assert (made.created, made.version.rank, made.version.rslora) == (True, 3, old.rslora)
    wanted = {name: closest(delta, 3) for name, delta in deltas(registry, old.reference, tmp_path / "old").items()}
    assert same(deltas(registry, made.version.reference, tmp_path / "new"), wanted)


def test_the_version_keeps_its_scaling_factor_and_says_where_it_comes_from(registry: Registry) -> None:
    from lorarack.adapters.ranks.resize import resize

    made = resize(registry, "support@1", rank=4).version
    assert (made.alpha, [(parent.version, parent.relation) for parent in made.parents]) == (
        8,
        [("support@1", "resized")],
    )
    assert made.provenance is not None
    how: Any = made.provenance.recipe["resized"]
    assert how["rank"] == 4
    assert 0 < how["kept_energy"] < 1
    assert resize(registry, "support@1", rank=4).created is False


def test_modules_of_several_ranks(registry: Registry, tmp_path: Path) -> None:
    """A module below the new rank stays as it is; one above is cut; a pattern for alpha is in the factors."""
    from lorarack.adapters.ranks.resize import resize

    config: dict[str, Any] = {
        "rank_pattern": {"q_proj": 2},
        "alpha_pattern": {"v_proj": 5.0, "layers.0.mlp.down_proj": 40},
    }
    folder = tiny_adapter(tmp_path / "in", 8, seed=9, targets=TARGETS, **config)
    small = {name: array for name, array in adapter_tensors(2, 5, TARGETS).items() if "q_proj" in name}
    write_safetensors(folder / "adapter_model.safetensors", {**adapter_tensors(8, 9, TARGETS), **small})
    old = registry.publish(folder, "mixed", base="tiny").version
    made = resize(registry, old.reference, rank=4).version
    wanted = {
        name: closest(delta, 2 if "q_proj" in name else 4)
        for name, delta in deltas(registry, old.reference, tmp_path / "old").items()
    }
    assert made.rank == 4
    assert same(deltas(registry, made.reference, tmp_path / "new"), wanted)


def test_embeddings_and_half_precision(registry: Registry, tmp_path: Path) -> None:
    """An embedding's A and B have names of their own; weights stay in the type they had."""
    from lorarack.adapters.ranks.resize import resize

    random = np.random.default_rng(0)
    prefix = "base_model.model.model.embed_tokens"
    tensors = {
        f"{prefix}.lora_embedding_A": random.normal(0, 0.2, (8, 64)).astype(np.float16),
        f"{prefix}.lora_embedding_B": random.normal(0, 0.2, (16, 8)).astype(np.float16),
    }
    folder = tiny_adapter(tmp_path / "in", 8, targets=["embed_tokens"])
    write_safetensors(folder / "adapter_model.safetensors", tensors)
    old = registry.publish(folder, "words", base="tiny").version
    made = resize(registry, old.reference, rank=2).version
    assert (made.rank, made.dtype) == (2, old.dtype)


def test_energy_chooses_the_smallest_rank_that_keeps_it(registry: Registry) -> None:
    from lorarack.adapters.ranks.resize import resize

    made = resize(registry, "support@1", energy=0.8)
    assert made.version.provenance is not None
    how: Any = made.version.provenance.recipe["resized"]
    assert how["kept_energy"] >= 0.8
    less = resize(registry, "support@1", rank=how["rank"] - 1).version.provenance
    assert less is not None
    below: Any = less.recipe["resized"]
    assert below["kept_energy"] < 0.8
    with pytest.raises(UsageError, match="needs its whole rank 8"):
        resize(registry, "support@1", energy=1.0)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"rank": 8}, "support@1 has rank 8, and resize makes lower ranks: give a --rank below 8."),
        ({"rank": 0}, "ranks begin at 1"),
        ({"energy": 1.5}, "is no share"),
        ({}, "either --rank or --energy"),
        ({"rank": 2, "energy": 0.9}, "either --rank or --energy"),
    ],
)
def test_mistakes_of_resizing(registry: Registry, settings: dict[str, Any], said: str) -> None:
    from lorarack.adapters.ranks.resize import resize

    with pytest.raises(UsageError, match=said):
        resize(registry, "support@1", **settings)
    assert len(registry.versions("support")) == 2


@pytest.mark.parametrize(
    ("config", "said"), [({"use_dora": True}, "DoRA"), ({"modules_to_save": ["lm_head"]}, "modules_to_save")]
)
def test_more_than_a_and_b_is_refused(tmp_path: Path, config: dict[str, Any], said: str) -> None:
    from lorarack.adapters.ranks.weights import read_weights

    with pytest.raises(InvalidArtifact, match=said):
        read_weights(tiny_adapter(tmp_path / "in", 8, **config), "support@1")


@pytest.mark.parametrize("by", [0.5, -1.0])
def test_scaling_changes_alpha_alone(registry: Registry, tmp_path: Path, by: float) -> None:
    from lorarack.adapters.ranks.scale import scale

    made = scale(registry, "support@1", by).version
    old = registry.resolve("support@1")
    assert made.alpha == by * old.alpha
    assert {file.digest for file in made.files} & {file.digest for file in old.files}
    assert [(parent.version, parent.relation) for parent in made.parents] == [("support@1", "scaled")]
    wanted = {name: by * delta for name, delta in deltas(registry, "support@1", tmp_path / "old").items()}
    assert same(deltas(registry, made.reference, tmp_path / "new"), wanted)


@pytest.mark.parametrize("by", [0.0, 1.0, float("nan"), float("inf")])
def test_scaling_by_nothing_is_refused(registry: Registry, by: float) -> None:
    from lorarack.adapters.ranks.scale import scale

    with pytest.raises(UsageError, match="makes no other adapter"):
        scale(registry, "support@1", by)


def test_what_is_made_of_versions_is_asked_as_they_are(registry: Registry, tmp_path: Path) -> None:
    """Their chat template and their defaults, where all parents have the same."""
    from lorarack.adapters.ranks.merge import merge
    from lorarack.adapters.ranks.resize import resize

    terse, kind = ServingDefaults(system="Be terse."), ServingDefaults(system="Be kind.")
    for name, seed, defaults in (("one", 1, terse), ("two", 2, terse), ("three", 3, kind)):
        folder = tiny_adapter(tmp_path / name, 8, seed=seed, targets=TARGETS)
        (folder / "chat_template.jinja").write_text("{{ messages }}")
        registry.publish(folder, name, base="tiny", defaults=defaults)
    small = resize(registry, "one@1", rank=2).version
    assert (registry.chat_template(small), registry.serving_defaults(small)) == ("{{ messages }}", terse)
    alike = merge(registry, ["one@1", "two@1"], name="alike").version
    assert registry.serving_defaults(alike) == terse
    apart = merge(registry, ["one@1", "three@1"], name="apart").version
    assert (registry.chat_template(apart), registry.serving_defaults(apart).given) == ("{{ messages }}", {})
