"""Facts of the installed PEFT and vLLM about targets, keys and the base's own weights in a folder."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from tests.registry.artifact.test_targets import MODULES, RULES, ours

from lorarack.registry import Registry
from lorarack.registry.artifact import adapter_config, other_formats
from lorarack.registry.artifact.weights import _BASE_WEIGHTS

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_targets_mean_what_they_mean_in_peft(rule: dict[str, Any]) -> None:
    from peft import LoraConfig
    from peft.tuners.tuners_utils import _ExcludedModule, check_target_module_exists

    theirs, config = LoraConfig(**rule), ours(**rule)
    for module in MODULES:
        found = check_target_module_exists(theirs, module)
        assert config.targets(module) is (bool(found) and not isinstance(found, _ExcludedModule)), module


def test_all_linear_means_what_it_means_in_peft(base_folder: Path) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base_folder)
    names = [name for name, module in model.named_modules() if type(module).__name__ in ("Linear", "Embedding")]
    config = LoraConfig(target_modules="All-Linear", task_type="CAUSAL_LM")
    get_peft_model(model, config)
    taken = config.target_modules
    assert isinstance(taken, set)
    rule = ours(target_modules="All-Linear")
    assert {name for name in names if rule.targets(name)} == {
        name for name in names if any(name == one or name.endswith(f".{one}") for one in taken)
    }


def test_peft_has_no_key_that_was_not_looked_at() -> None:
    """A key of a newer PEFT is refused when it is set, until it is known what it does."""
    from peft import LoraConfig

    known = adapter_config._JUDGED | adapter_config._HARMLESS | adapter_config._REFUSED.keys()
    assert {field.name for field in fields(LoraConfig)} <= known


def test_methods_that_peft_can_convert_are_methods_of_peft() -> None:
    from peft import PeftType

    assert set(PeftType) >= other_formats._CONVERTIBLE


@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")
@pytest.mark.parametrize("module", ["lm_head", "model.embed_tokens"])
def test_vllm_passes_over_the_bases_own_embedding(module: str) -> None:
    from vllm.lora.utils import is_base_embedding_weights

    name = f"base_model.model.{module}.base_layer.weight"
    assert name.endswith(_BASE_WEIGHTS)
    assert is_base_embedding_weights(name)
    assert not is_base_embedding_weights(f"base_model.model.{module}.weight")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("targets", [["lm_head"], ["embed_tokens"], ["embed_tokens", "lm_head", "q_proj"]], ids=str)
def test_what_peft_writes_for_head_and_embedding_publishes(
    dtype: str, targets: list[str], tmp_path: Path, registry: Registry, base_folder: Path
) -> None:
    """With and without the base's own weight, and with the two adapters tied."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    for place, (tied, layers) in enumerate(((False, "auto"), (False, False), (True, "auto"))):
        model = AutoModelForCausalLM.from_pretrained(base_folder, dtype=getattr(torch, dtype))
        config = LoraConfig(
            r=2, target_modules=list(targets), init_lora_weights=False, ensure_weight_tying=tied, task_type="CAUSAL_LM"
        )
        get_peft_model(model, config).save_pretrained(str(tmp_path / str(place)), save_embedding_layers=layers)
        assert registry.publish(tmp_path / str(place), f"support{place}", base="tiny").created


@pytest.mark.filterwarnings("ignore")
def test_what_peft_writes_for_other_variants_is_told(tmp_path: Path, registry: Registry, base_folder: Path) -> None:
    """Their keys do not count; the tensors that they leave are named, and the adapter publishes without them."""
    from peft import LoraConfig, get_peft_model
    from peft.tuners.lora.config import MontecloraConfig, VeloraConfig
    from safetensors.numpy import load_file, save_file
    from transformers import AutoModelForCausalLM

    from lorarack.registry.errors import InvalidArtifact

    variants: tuple[dict[str, Any], ...] = (
        {"velora_config": VeloraConfig(num_groups=4)}, {"monteclora_config": MontecloraConfig()},
    )  # fmt: skip
    for place, variant in enumerate(variants):
        folder = tmp_path / str(place)
        model = AutoModelForCausalLM.from_pretrained(base_folder)
        config = LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM", **variant)
        peft = get_peft_model(model, config)
        for name, parameter in peft.named_parameters():
            if "lora_B" in name:
                parameter.data += 0.5
        peft.save_pretrained(str(folder))
        with pytest.raises(InvalidArtifact, match="needed only while VeLoRA or MonteCLoRA trains"):
            registry.publish(folder, "support", base="tiny")
        weights = folder / "adapter_model.safetensors"
        kept = {
            name: tensor
            for name, tensor in load_file(weights).items()
            if name.endswith(("lora_A.weight", "lora_B.weight"))
        }
        save_file(kept, weights)
        assert registry.publish(folder, f"support{place}", base="tiny").created


@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")
def test_vllm_loads_a_file_with_the_bases_own_embedding(tmp_path: Path) -> None:
    """And takes from it what was trained, no more."""
    from tests.registry.artifact.test_base_weights import OWN, with_head
    from vllm.lora.lora_model import LoRAModel
    from vllm.lora.peft_helper import PEFTHelper

    folder = with_head(tmp_path / "a", OWN)
    helper = PEFTHelper.from_local_dir(str(folder), None)
    expected = {"q_proj", "v_proj", "lm_head"}
    loaded = LoRAModel.from_local_checkpoint(str(folder), expected, helper, lora_model_id=1, device="cpu")
    assert {name.rpartition(".")[2] for name in loaded.loras} == expected
    assert not loaded.modules_to_save
