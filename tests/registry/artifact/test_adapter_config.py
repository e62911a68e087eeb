"""Which features are accepted: those that are served as they were trained, told by the field that decides."""

import re
from typing import Any

import pytest
from tests.registry.artifact.configurations import parsed, problems_of

ACCEPTED: dict[str, dict[str, Any]] = {
    "rsLoRA": {"use_rslora": True},
    "another rank for some": {"rank_pattern": {"q_proj": 8}, "alpha_pattern": {"q_proj": 16.5}},
    "modules as a pattern": {"target_modules": r".*\.(q|v)_proj"},
    "an init that is folded into A and B": {"init_lora_weights": "gaussian"},
    "no init": {"init_lora_weights": False},
    "an unknown key that is off": {"future_feature": False, "future_config": {"a": None, "b": 0}, "future_list": []},
    "dropout while it was trained": {"lora_dropout": 0.1},
    "a fraction as alpha": {"lora_alpha": 0.5},
    "no word about the init": {"init_lora_weights": None},
    "EVA, with its settings": {"init_lora_weights": "eva", "eva_config": {"rho": 2.0}},
    "orthogonal": {"init_lora_weights": "orthogonal"},
    "MiCA": {"init_lora_weights": "mica"},
    "converted CorDA": {"corda_config": {"corda_method": "ipm", "verbose": False}},
    "converted LoRA-GA": {"lora_ga_config": {"direction": "ArB2r", "stable_gamma": 16}},
    "converted LoftQ settings": {"loftq_config": {"loftq_bits": 4}},
    "VeLoRA": {"velora_config": {"num_groups": 4}},
    "no VeLoRA": {"velora_config": None},
    "MonteCLoRA": {"monteclora_config": {"num_samples": 8}},
    "Megatron's settings": {"megatron_config": {"tensor_model_parallel_size": 2}},
    "ties without embeddings": {"ensure_weight_tying": True},
    "a model's own keys": {
        "model_type": "llama",
        "_name_or_path": "x",
        "torch_dtype": "bfloat16",
        "transformers_version": "5",
    },
    "settings of a run": {"runtime_config": {"ephemeral_gpu_offload": True}},
    "switches of old that are off": {"enable_lora": None, "merge_weights": False},
    "one layer": {"layers_to_transform": 0},
    "some layers of a list": {"layers_to_transform": [0, 1], "layers_pattern": "layers"},
    "excluded by a pattern": {"exclude_modules": ".*vision.*"},
}


@pytest.mark.parametrize("changes", ACCEPTED.values(), ids=ACCEPTED)
def test_what_is_served_as_trained_is_accepted(changes: dict[str, Any]) -> None:
    parsed(**changes)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "DoRA": ({"use_dora": True}, "DoRA is not served by vLLM; train with use_dora=False"),
    "LoRA bias": ({"lora_bias": True}, "LoRA bias is not served .*; train with lora_bias=False"),
    "bias": ({"bias": "all"}, "a bias \\('all'\\) is not served .*; train with bias='none'"),
    "aLoRA": ({"alora_invocation_tokens": [1, 2]}, "aLoRA.* is not served .*; train a plain LoRA"),
    "layers repeated": ({"layer_replication": [[0, 2]]}, "layer_replication is not served .*; train without"),
    "BD-LoRA": ({"use_bdlora": {"n": 2}}, "block-diagonal LoRA is not served .*; train a plain LoRA"),
    "QALoRA": ({"use_qalora": True}, "QALoRA is not served .*; train with use_qalora=False"),
    "whole modules": ({"modules_to_save": ["lm_head"]}, "modules_to_save .* not served; train without it"),
    "token embeddings": ({"trainable_token_indices": [5]}, "token embeddings are not served .*; train without"),
    "parameters as targets": ({"target_parameters": ["experts.w"]}, "target_parameters .* target modules instead"),
    "transposed weights": ({"fan_in_fan_out": True}, "fan_in_fan_out .* transposed.*; train on linear layers"),
    "PiSSA": ({"init_lora_weights": "pissa"}, "'pissa' changes the base's weights; convert"),
    "OLoRA": ({"init_lora_weights": "olora"}, "'olora' changes the base's weights; convert"),
    "PiSSA by few steps": (
        {"init_lora_weights": "pissa_niter_16"},
        "'pissa_niter_16' changes .*; convert the PiSSA adapter",
    ),
    "CorDA": (
        {"init_lora_weights": "corda", "corda_config": {"corda_method": "kpm"}},
        "'corda' changes .*; convert the CorDA",
    ),
    "LoRA-GA": (
        {"init_lora_weights": "lora_ga", "lora_ga_config": {"scale": "stable"}},
        "'lora_ga' changes .*; convert the LoRA-GA",
    ),
    "LoRA-GA as ms-swift spells it": ({"init_lora_weights": "lora-ga"}, "'lora-ga' changes .*; convert the LoRA-GA"),
    "LoftQ": (
        {"init_lora_weights": "loftq"},
        "'loftq' changes the base's weights to quantised ones.*add it with 'lorarack base add'",
    ),
    "an unknown initialisation": ({"init_lora_weights": "nifty"}, "'nifty' is no initialisation that PEFT 0.21 knows"),
    "an initialisation that is none": ({"init_lora_weights": ["eva"]}, "init_lora_weights is a list"),
    "the head as a whole": (
        {"modules_to_save": ["lm_head"]},
        r"modules_to_save .*\(lm_head\).*lm_head among target_modules",
    ),
    "KaSA": ({"kasa_config": {"beta": 0.1}}, "KaSA changes the base's weights"),
    "KaSA by its defaults": ({"kasa_config": {}}, "KaSA changes the base's weights"),
    "Arrow": ({"arrow_config": {"top_k": 3}}, "Arrow routes each token"),
    "a split layer of old": ({"enable_lora": [True, False]}, "enable_lora splits a fused layer"),
    "layers beside a pattern": (
        {"target_modules": ".*q_proj", "layers_to_transform": [0]},
        "layers_to_transform stands beside a pattern",
    ),
    "a pattern of layers alone": ({"layers_pattern": "layers"}, "layers_pattern stands without layers_to_transform"),
    "layers by name": ({"layers_to_transform": ["0"]}, "layers_to_transform.0: .*valid integer"),
    "exclusions that are no pattern": ({"exclude_modules": "*("}, "is not a usable pattern"),
    "a list of layers that is no pattern": (
        {"layers_to_transform": [0], "layers_pattern": "*("},
        "is not a usable pattern",
    ),
    "a low-rank method that PEFT can turn into LoRA": (
        {"peft_type": "LOHA"},
        "peft_type is 'LOHA'; only LORA .*save_as_lora",
    ),
    "prompt tuning": ({"peft_type": "PROMPT_TUNING"}, "peft_type is 'PROMPT_TUNING'; only LORA .*; train a LoRA"),
    "LORA in small letters": ({"peft_type": "lora"}, "write 'LORA'"),
    "MLX": ({"peft_type": None, "fine_tune_type": "lora"}, "one of MLX, not of PEFT; transpose"),
    "a model's configuration": (
        {"peft_type": None, "architectures": ["X"], "model_type": "llama"},
        "whole model; 'lorarack base add'",
    ),
    "another method": ({"peft_type": "IA3"}, "peft_type is 'IA3'; only LORA"),
    "no method": ({"peft_type": None}, "peft_type is missing; only LORA"),
    "a method that is a deep list": ({"peft_type": [[[[[[1]]]]]]}, "only LORA"),
    "unknown key": ({"future_feature": True}, "'future_feature', which lorarack does not know; it may not be served"),
    "unknown block": ({"other_config": {"beta": 0.1}}, "'other_config', which lorarack does not know.*remove the key"),
    "no rank": ({"r": None}, "r: Field required"),
    "rank 0": ({"r": 0}, "r: .*greater than or equal to 1"),
    "rank over vLLM's largest": ({"r": 513}, "r: .*less than or equal to 512"),
    "rank that is a text": ({"r": "8"}, "r: .*valid integer"),
    "rank that is a truth": ({"r": True}, "r: .*valid integer"),
    "no alpha": ({"lora_alpha": None}, "lora_alpha: Field required"),
    "alpha 0": ({"lora_alpha": 0}, "lora_alpha is 0, so the adapter changes nothing"),
    "alpha that is huge": ({"lora_alpha": 10**400}, "lora_alpha: "),
    "no targets": ({"target_modules": None}, "target_modules: Field required|target_modules"),
    "a rank pattern of rank 0": ({"rank_pattern": {"q_proj": 0}}, "rank_pattern has rank 0"),
    "a rank pattern over the largest": ({"rank_pattern": {"q_proj": 4096}}, "rank_pattern has rank 4096"),
    "a rank pattern that is a text": ({"rank_pattern": {"q_proj": "8"}}, "rank_pattern.q_proj: .*valid integer"),
    "a pattern that is none": ({"rank_pattern": {"q_proj(": 8}}, r"'q_proj\(' is not a usable pattern"),
    "targets that are no pattern": ({"target_modules": "*("}, "is not a usable pattern"),
    "a pattern that takes for ever": (
        {"alpha_pattern": {r"(\w|\.|[a-z])*[A-Z]": 8.0}},
        "is not a usable pattern",
    ),
}


@pytest.mark.parametrize(("changes", "said"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_served_as_trained_is_refused_with_what_to_do(changes: dict[str, Any], said: str) -> None:
    problem = problems_of(**changes)
    assert re.search(said, problem), problem
    assert "\n" not in problem
    assert len(problem) < 400
