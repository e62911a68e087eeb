"""The digest of an artifact: the same for what is applied alike, another for everything else."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.tiny import adapter_config

from lorarack.registry.artifact.manifest import artifact_digest, sha256

WEIGHTS = sha256(b"weights")
CONFIG = adapter_config(targets=("q_proj", "k_proj"))


def digest(**changed: Any) -> str:
    return artifact_digest(CONFIG | changed, WEIGHTS)


@pytest.mark.parametrize(
    "changed",
    [
        {"peft_version": "0.22.0"},
        {"peft_version": None},
        {"lora_alpha": 8.0},
        {"r": 4.0},
        {"inference_mode": False},
        {"task_type": None},
        {"base_model_name_or_path": "/elsewhere", "revision": "abc"},
        {"target_modules": ["k_proj", "q_proj"]},
        {"target_modules": ["q_proj", "k_proj", "q_proj"]},
        {"a_key_of_tomorrow": None, "another": False, "third": {}},
        {"lora_dropout": 0.05},
        {"init_lora_weights": "gaussian"},
        {"rank_pattern": None},
        {"exclude_modules": []},
    ],
    ids=str,
)
def test_what_changes_nothing_about_how_weights_are_applied_changes_no_digest(changed: dict[str, Any]) -> None:
    assert digest(**changed) == digest()


def test_a_release_that_writes_fewer_keys_gives_the_same_digest() -> None:
    few = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "k_proj"]}
    assert artifact_digest(few, WEIGHTS) == digest()


@pytest.mark.parametrize(
    "changed",
    [
        {"r": 8},
        {"lora_alpha": 8.5},
        {"use_rslora": True},
        {"rank_pattern": {"q_proj": 2}},
        {"alpha_pattern": {"q_proj": 2}},
        {"target_modules": ["q_proj"]},
        {"target_modules": "q_proj"},
        {"exclude_modules": ["o_proj"]},
        {"layers_to_transform": [0]},
        {"layers_pattern": "layers"},
    ],
    ids=str,
)
def test_what_is_applied_changes_the_digest(changed: dict[str, Any]) -> None:
    assert digest(**changed) != digest()
    assert artifact_digest(CONFIG, sha256(b"other weights")) != digest()


def test_the_order_of_patterns_counts_and_their_numbers_spelling_does_not() -> None:
    """The first that matches counts, in PEFT and in vLLM."""
    one, other = {"q_proj": 2, ".*proj": 4}, {".*proj": 4, "q_proj": 2}
    assert digest(rank_pattern=one) != digest(rank_pattern=other)
    assert digest(alpha_pattern=one) == digest(alpha_pattern={"q_proj": 2.0, ".*proj": 4.0})


def test_one_value_means_the_same_as_a_list_of_it() -> None:
    assert digest(layers_to_transform=[3]) == digest(layers_to_transform=3) == digest(layers_to_transform=[3, 3])
    assert digest(layers_pattern="h") == digest(layers_pattern=["h"])
    assert digest(exclude_modules="a.*") == digest(exclude_modules=["a.*"])


def test_all_linear_is_one_word_in_any_case() -> None:
    assert digest(target_modules="all-linear") == digest(target_modules="All-Linear")
    assert digest(target_modules="[QK]_proj") != digest(target_modules="[qk]_proj")


@pytest.mark.parametrize(
    "value",
    [2**60, float("nan"), ["\ud800"], [{"a": 1}], {"a": {1, 2}}, [[[]]]],
    ids=["large", "nan", "half", "dicts", "set", "lists"],
)
def test_what_canonical_json_cannot_hold_is_a_value_error(value: object) -> None:
    with pytest.raises(ValueError, match="canonical JSON"):
        digest(layers_to_transform=value)


def test_the_digest_is_what_it_was() -> None:
    """Whoever changes this changes the name of every artifact: see decision 18."""
    assert digest() == "sha256:44d298263dd63446e85efb72471073d8ec08199ab63435a073f5b84e78f3818b"


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)


@given(st.dictionaries(st.sampled_from([*CONFIG, "new"]), anything, max_size=6))
def test_any_configuration_has_a_digest_or_is_a_value_error(changed: dict[str, Any]) -> None:
    """And a trip through JSON does not change it."""
    try:
        found = digest(**changed)
    except ValueError:
        return
    back = json.loads(json.dumps(CONFIG | changed))
    assert artifact_digest(dict(reversed(back.items())), WEIGHTS) == found
