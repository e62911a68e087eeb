"""Every initialisation that PEFT has: a folder is accepted exactly when base plus scale × B × A is what was trained.

That is what vLLM computes, whatever the configuration says of the beginning.
"""

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from tests.registry.artifacts import read_artifact
from tests.tiny import VOCABULARY

from lorarack.registry import Base
from lorarack.registry.errors import InvalidArtifact

pytestmark = pytest.mark.torch

KEEPS_THE_BASE = (True, False, "gaussian", "orthogonal", "mica")
CHANGES_THE_BASE = ("pissa", "pissa_niter_4", "olora", "corda", "lora_ga")


def trained(base_folder: Path, init: str | bool, folder: Path) -> Any:
    """An adapter after a few steps, saved plainly to ``plain`` and, where it changes the base, converted to ``converted``."""
    import torch
    from peft import LoraConfig, LoraGAConfig, get_peft_model
    from peft.tuners.lora.config import CordaConfig
    from peft.tuners.lora.corda import preprocess_corda
    from peft.tuners.lora.loraga import preprocess_loraga
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(base_folder)
    rows = torch.randint(0, VOCABULARY, (1, 24))
    more: dict[str, Any] = {}
    if init == "corda":
        more["corda_config"] = CordaConfig()
    if init == "lora_ga":
        more["lora_ga_config"] = LoraGAConfig()
    config = LoraConfig(
        r=2, lora_alpha=4, target_modules=["q_proj", "v_proj"], init_lora_weights=init, task_type="CAUSAL_LM", **more
    )  # fmt: skip
    if init == "corda":
        preprocess_corda(model, config, run_model=torch.no_grad()(lambda: model(input_ids=rows)))
    if init == "lora_ga":
        preprocess_loraga(model, config, lambda: model(input_ids=rows, labels=rows).loss.backward())
    adapter = get_peft_model(model, config)
    if init in CHANGES_THE_BASE:
        config.init_lora_weights = True
        adapter.save_pretrained(str(folder / "start"))
        config.init_lora_weights = init
    optimizer = torch.optim.Adam([p for p in adapter.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(3):
        adapter(input_ids=rows, labels=rows).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    adapter.eval()
    with torch.no_grad():
        logits = adapter(input_ids=rows).logits
    adapter.save_pretrained(str(folder / "plain"))
    if init in CHANGES_THE_BASE:
        adapter.save_pretrained(
            str(folder / "converted"), path_initial_model_for_weight_conversion=str(folder / "start")
        )
    return rows, logits


def is_served_as_trained(base_folder: Path, folder: Path, rows: Any, logits: Any) -> bool:
    """Whether the file's matrices on the plain base give the trained model's logits."""
    import torch
    from peft import LoraConfig, PeftModel
    from transformers import AutoModelForCausalLM

    config = LoraConfig.from_pretrained(str(folder))
    config.init_lora_weights = True
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base_folder), folder, config=config).eval()
    with torch.no_grad():
        return bool(torch.allclose(model(input_ids=rows).logits, logits, atol=1e-4))


def is_accepted(folder: Path, base: Base) -> bool:
    try:
        read_artifact(folder, base)
    except InvalidArtifact as error:
        return not any("init_lora_weights" in problem for problem in error.problems)
    return True


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("init", [*KEEPS_THE_BASE, *CHANGES_THE_BASE], ids=str)
def test_a_folder_is_accepted_exactly_when_it_is_served_as_trained(
    init: str | bool, tmp_path: Path, base: Base, base_folder: Path
) -> None:
    rows, logits = trained(base_folder, init, tmp_path)
    served = is_served_as_trained(base_folder, tmp_path / "plain", rows, logits)
    assert served is (init in KEEPS_THE_BASE), "what PEFT does with the base"
    assert is_accepted(tmp_path / "plain", base) is served
    if init in CHANGES_THE_BASE:
        assert is_served_as_trained(base_folder, tmp_path / "converted", rows, logits)
        assert is_accepted(tmp_path / "converted", base)


def test_peft_has_no_initialisation_that_was_not_looked_at() -> None:
    import typing

    from peft import LoraConfig

    hint = typing.get_type_hints(LoraConfig)["init_lora_weights"]
    named = {value for part in get_args(hint) for value in get_args(part)}
    assert named - {"pissa_niter_[number of iters]"} == {
        "gaussian", "eva", "olora", "pissa", "corda", "loftq", "orthogonal", "mica",
    }  # fmt: skip


@pytest.mark.parametrize("init", [None, True, False, "gaussian", "eva", "orthogonal", "mica", "GAUSSIAN"])
def test_vllm_takes_every_initialisation_that_is_accepted(init: Any) -> None:
    from tests.tiny import adapter_config
    from vllm.lora.peft_helper import PEFTHelper

    from lorarack.registry.artifact.adapter_config import parse_config

    data = adapter_config() | {"init_lora_weights": init}
    assert parse_config(json.dumps(data).encode())[2] == []
    assert PEFTHelper.from_dict(data)._validate_features() == []
