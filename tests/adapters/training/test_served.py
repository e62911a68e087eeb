"""Settings that the pinned vLLM does not serve are refused before the first step, or turned into ones that it serves."""

from typing import Any

import pytest

from lorarack.adapters.recipe import Recipe, make_recipe
from lorarack.adapters.training.served import SLOTS, check_packages, check_served
from lorarack.registry.errors import UsageError


def _recipe(**changes: Any) -> Recipe:
    return make_recipe({"name": "a", "base": "b", "data": "c", **changes})


@pytest.mark.parametrize(
    ("peft", "said"),
    [
        ({"use_dora": True}, "DoRA is not served by vLLM"),
        ({"bias": "all"}, "a bias ('all') is not served"),
        ({"lora_bias": True}, "a LoRA bias"),
        ({"init_lora_weights": "pissa"}, "changes the base's weights"),
        ({"init_lora_weights": "olora"}, "changes the base's weights"),
        ({"init_lora_weights": "eva"}, "pass over the data"),
        ({"modules_to_save": ["score"]}, "whole trained modules (score)"),
        ({"modules_to_save": ["lm_head"]}, "list target_modules, with lm_head among them"),
        ({"r": 8}, "the recipe's own key 'ranks'"),
        ({"task_type": "CAUSAL_LM"}, "leave it out"),
        ({"use_dorra": True}, "which lorarack does not know"),
    ],
)
def test_what_is_not_served_is_refused_with_the_reason(peft: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_served(_recipe(peft=peft))
    assert said in caught.value.message
    assert "\n" not in caught.value.message


def test_whole_embeddings_become_lora_on_them() -> None:
    """Where the targets are listed; said with the reason."""
    recipe, notes = check_served(
        _recipe(target_modules=["q_proj"], peft={"modules_to_save": ["lm_head", "embed_tokens"]})
    )
    assert (recipe.target_modules, recipe.peft) == (("q_proj", "lm_head", "embed_tokens"), {})
    assert "LoRA on lm_head, embed_tokens: vLLM serves no modules that are trained whole" in notes[0]


def test_a_rank_between_two_slots_is_said() -> None:
    assert check_served(_recipe(ranks=[4, 16]))[1] == ()
    assert check_served(_recipe(ranks=[20]))[1] == (
        "Rank 20 takes a slot of rank 32 on a server; rank 32 costs no more there.",
    )


def test_the_slots_are_the_servers() -> None:
    from lorarack.server.limits import RANK_BUCKETS

    assert SLOTS == RANK_BUCKETS


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"report_to": "wandb"}, "'report_to: wandb' needs the package 'wandb'"),
        ({"quantise": "4bit"}, "'quantise: 4bit' needs the package 'bitsandbytes'"),
        ({"attention": "flash_attention_2"}, "needs the package 'flash_attn'"),
    ],
)
def test_a_package_that_is_not_there_is_named(
    changes: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lorarack.adapters.training.served.find_spec", lambda _: None)
    with pytest.raises(UsageError) as caught:
        check_packages(_recipe(**changes))
    assert said in caught.value.message


def test_keys_of_later_releases_leave_the_family_as_it_was_while_they_say_nothing() -> None:
    """Families that 0.1.0 began go on."""
    digest = _recipe().family_digest("sha256:a", {"train": "sha256:b"})
    assert digest == _recipe(report_to=["wandb"], data={"train": "c", "answers": "every"}).family_digest(
        "sha256:a", {"train": "sha256:b"}
    )
    assert digest != _recipe(packing=True).family_digest("sha256:a", {"train": "sha256:b"})
    assert digest == "sha256:0d47e3a200443e6b50e9a07d563ed62f8b70eefac78254a86dd866ae230a3aba"
