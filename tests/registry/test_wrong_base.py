"""Publishing against the wrong base is refused, with the difference in words."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.registry.parts import blobs_of
from tests.tiny import base_tensors, change_config, tiny_adapter, tiny_base, write_json, write_safetensors

from lorarack.registry import Parent, Registry
from lorarack.registry.base_model.difference import difference
from lorarack.registry.errors import Conflict, NotFound


@pytest.fixture
def tuned(registry: Registry, tmp_path: Path) -> Path:
    """A base of the same shape, with other weights, called ``tuned``."""
    folder = tiny_base(tmp_path / "tuned-base", seed=7)
    registry.add_base(str(folder), "tuned")
    return folder


@pytest.mark.parametrize("by", ["name", "folder"])
def test_an_adapter_that_names_another_known_base_is_refused(
    by: str, registry: Registry, tuned: Path, tmp_path: Path
) -> None:
    """A same-shape fine-tune: every tensor would fit, and every answer would be wrong."""
    named = "tuned" if by == "name" else str(tuned)
    folder = change_config(tiny_adapter(tmp_path / "a"), base_model_name_or_path=named)
    said = "says that it was trained on base 'tuned', not on 'tiny': the second has the same shapes and tokens but other weights"
    with pytest.raises(Conflict, match=said) as raised:
        registry.publish(folder, "support", base="tiny")
    assert raised.value.code == "other_base"
    assert "give --base tuned, or, if one is a copy of the other" in str(raised.value)
    assert registry.adapters() == ()
    assert registry.publish(folder, "support", base="tuned").created


def test_a_copy_of_the_base_takes_its_adapters(registry: Registry, tuned: Path, tmp_path: Path) -> None:
    """Trained on the original, served on the quantised one, and the other way round; not so for a fine-tune."""
    folder = change_config(tiny_adapter(tmp_path / "a"), base_model_name_or_path="tuned")
    registry.link_base("tuned", "tiny", "finetuned")
    with pytest.raises(Conflict, match="not on 'tiny'"):
        registry.publish(folder, "support", base="tiny")
    registry.link_base("tuned", "tiny", "quantized")
    assert registry.publish(folder, "support", base="tiny").created
    other = change_config(tiny_adapter(tmp_path / "b", seed=2), base_model_name_or_path="tiny")
    assert registry.publish(other, "more", base="tuned").created


def test_a_name_that_nobody_knows_says_nothing(registry: Registry, tuned: Path, tmp_path: Path) -> None:
    for place, named in enumerate(["somewhere/else", "", None, 3, "/no/such/folder"]):
        folder = change_config(tiny_adapter(tmp_path / f"a{place}", seed=place), base_model_name_or_path=named)
        assert registry.publish(folder, "support", base="tiny").created


def test_an_adapter_with_versions_on_one_base_takes_none_on_another(
    registry: Registry, tuned: Path, tmp_path: Path
) -> None:
    registry.publish(tiny_adapter(tmp_path / "a"), "support", base="tiny")
    with pytest.raises(
        Conflict, match="is for base 'tiny', not for 'tuned': the second has the same shapes and tokens but"
    ):
        registry.publish(tiny_adapter(tmp_path / "b"), "support", base="tuned")


def test_what_differs_is_said(registry: Registry, tmp_path: Path) -> None:
    folder = tiny_base(tmp_path / "wide", seed=2)
    write_safetensors(folder / "model.safetensors", {n: np.repeat(t, 2, axis=-1) for n, t in base_tensors(2).items()})
    config = json.loads((folder / "config.json").read_text())
    write_json(folder / "config.json", config | {"architectures": ["OtherForCausalLM"], "vocab_size": 99})
    wide, tiny = registry.add_base(str(folder), "wide"), registry.base("tiny")
    said = difference(tiny, wide)
    assert said.startswith(
        "the second has architecture OtherForCausalLM in place of LlamaForCausalLM, other shapes in 16 of 16 "
    )
    assert "model.embed_tokens: 64×32 in place of 64×16" in said
    assert said.endswith("other tokens (99 in place of 64)")


def test_a_parent_that_is_not_there_is_found_out_before_anything_is_stored(registry: Registry, adapter: Path) -> None:
    with pytest.raises(NotFound, match="no adapter 'support'"):
        registry.publish(adapter, "more", base="tiny", parents=[Parent(version="support@1", relation="resized")])
    assert list(blobs_of(registry).list()) == []
