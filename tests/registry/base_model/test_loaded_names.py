"""The module table names what transformers makes of the files: asked of the installed version with tiny models."""

import json
from pathlib import Path
from typing import Any

import pytest

from lorarack.registry.artifact.module_names import loaded_name
from lorarack.registry.base_model.files import FolderFiles
from lorarack.registry.base_model.fingerprint import look_at_base

pytestmark = pytest.mark.torch

TEXT = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 2,
    "vocab_size": 256, "head_dim": 16,
}  # fmt: skip
TOWER = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 56,
    "patch_size": 14,
}  # fmt: skip
QWEN_TOWER = {
    "depth": 1,
    "hidden_size": 32,
    "embed_dim": 32,
    "intermediate_size": 64,
    "num_heads": 2,
    "out_hidden_size": 64,
}
MROPE = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 1e6}

KINDS: dict[str, dict[str, Any]] = {
    "Llava": {"text_config": TEXT | {"model_type": "llama"}, "vision_config": TOWER | {"model_type": "clip_vision_model"}},
    "LlavaNext": {"text_config": TEXT | {"model_type": "llama"}, "vision_config": TOWER | {"model_type": "clip_vision_model"}},
    "Mistral3": {"text_config": TEXT | {"model_type": "mistral"}, "vision_config": TOWER | {"model_type": "pixtral"}},
    "Gemma3": {"text_config": TEXT, "vision_config": TOWER, "mm_tokens_per_image": 4},
    "PaliGemma": {"text_config": TEXT | {"model_type": "gemma"}, "vision_config": TOWER | {"projection_dim": 64}},
    "AyaVision": {"text_config": TEXT | {"model_type": "cohere2"}, "vision_config": TOWER},
    "Qwen2VL": {"text_config": TEXT | {"rope_parameters": MROPE}, "vision_config": QWEN_TOWER},
    "Qwen2_5_VL": {
        "text_config": TEXT | {"rope_parameters": MROPE}, "vision_config": QWEN_TOWER | {"fullatt_block_indexes": [0]},
    },
    "Qwen3VL": {
        "text_config": TEXT | {"rope_parameters": MROPE}, "vision_config": QWEN_TOWER | {"deepstack_visual_indexes": [0]},
    },
    "Idefics3": {"text_config": TEXT | {"model_type": "llama"}, "vision_config": TOWER},
    "Llama": TEXT,
    "Gemma2": TEXT,
    "Qwen3": TEXT,
}  # fmt: skip


@pytest.fixture(params=KINDS, scope="module")
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A tiny random model of the kind, saved and loaded again."""
    import transformers

    name = request.param
    kind = getattr(transformers, f"{name}ForConditionalGeneration", None) or getattr(transformers, f"{name}ForCausalLM")
    config = getattr(transformers, f"{name}Config")(**KINDS[name])
    folder = tmp_path_factory.mktemp(name)
    kind(config).save_pretrained(folder)
    return folder, kind.from_pretrained(folder)


def test_modules_are_named_and_sized_as_loaded(saved: tuple[Path, Any]) -> None:
    """Names of linear layers and embeddings, (out, in), with the head that is tied to the embedding."""
    folder, model = saved
    wanted = {
        name: tuple(module.weight.shape)
        for name, module in model.named_modules()
        if getattr(getattr(module, "weight", None), "ndim", 0) == 2
    }
    found = look_at_base(FolderFiles(folder))
    assert dict(found.modules) == wanted
    assert found.parameters == sum(parameter.numel() for parameter in model.parameters())


def test_a_name_of_today_stays(saved: tuple[Path, Any]) -> None:
    folder, model = saved
    architecture = json.loads((folder / "config.json").read_text())["architectures"][0]
    for name, _ in model.named_modules():
        assert loaded_name(name, architecture) == name


def test_saving_again_is_the_same_base(saved: tuple[Path, Any], tmp_path: Path) -> None:
    """What a library fills in when it saves a configuration changes no function; nor do other shards."""
    from lorarack.registry.base_model.fingerprint import read_base

    folder, model = saved
    model.save_pretrained(tmp_path / "again", max_shard_size="50KB")
    assert read_base(FolderFiles(tmp_path / "again")).fingerprint == read_base(FolderFiles(folder)).fingerprint


@pytest.mark.parametrize(
    ("architecture", "older", "today"),
    [
        (
            "LlavaForConditionalGeneration",
            "language_model.model.layers.0.mlp.up_proj",
            "model.language_model.layers.0.mlp.up_proj",
        ),
        ("LlavaForConditionalGeneration", "language_model.lm_head", "lm_head"),
        ("Gemma3ForConditionalGeneration", "vision_tower.vision_model.head", "model.vision_tower.vision_model.head"),
        ("Qwen2VLForConditionalGeneration", "model.layers.0.mlp.up_proj", "model.language_model.layers.0.mlp.up_proj"),
        ("Qwen2_5_VLForConditionalGeneration", "visual.blocks.0.attn.qkv", "model.visual.blocks.0.attn.qkv"),
        ("LlamaForCausalLM", "model.layers.0.mlp.up_proj", "model.layers.0.mlp.up_proj"),
    ],
)
def test_the_layout_before_transformers_4_52_means_the_same(architecture: str, older: str, today: str) -> None:
    assert loaded_name(older, architecture) == today
