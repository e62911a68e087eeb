"""``adapter_config.json``: only what is served as it was trained is accepted, and equal meaning gives equal bytes."""

import json
import re
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.tiny import adapter_config

from lorarack.registry.artifact.patterns import matches
from lorarack.registry.artifact.peft_config import PeftConfig, canonical_config, config_for_base, parse_config


def parsed(**changes: Any) -> PeftConfig:
    config, _, problems = parse_config(json.dumps(adapter_config() | changes).encode())
    assert problems == []
    assert config is not None
    return config


def problems_of(raw: bytes | None = None, **changes: Any) -> str:
    """The one problem of the configuration; it is then not to be used."""
    raw = json.dumps(adapter_config() | changes).encode() if raw is None else raw
    config, _, problems = parse_config(raw)
    assert config is None
    assert len(problems) == 1, problems
    return problems[0]


def test_what_peft_writes_by_default_is_accepted() -> None:
    config = parsed()
    assert (config.r, config.lora_alpha, config.target_modules) == (4, 8, ("q_proj", "v_proj"))


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


NOT_JSON = {
    "empty": b"",
    "half": b'{"r": 4',
    "pickle": b"\x80\x04N.",
    "NaN": b'{"peft_type": "LORA", "r": 4, "lora_alpha": NaN, "target_modules": ["q"]}',
    "infinity": b'{"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q"], "lora_dropout": -Infinity}',
    "a number that overflows": b'{"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q"], "lora_dropout": 1e999}',
    "deep": b"[" * 100_000,
    "digits": b'{"r": ' + b"9" * 10_000 + b"}",
    "Latin-1": '{"é": 1}'.encode("latin-1"),
}


@pytest.mark.parametrize("raw", NOT_JSON.values(), ids=NOT_JSON)
def test_what_is_not_json_is_refused(raw: bytes) -> None:
    assert problems_of(raw) == "adapter_config.json is not JSON; save the adapter again with PEFT's save_pretrained"


def test_what_is_not_an_object_is_refused() -> None:
    assert "not a JSON object" in problems_of(b"[]")


def test_all_problems_come_at_once() -> None:
    raw = json.dumps(adapter_config() | {"use_dora": True, "bias": "all", "new": 1, "r": 0, "lora_alpha": "x"}).encode()
    config, _, problems = parse_config(raw)
    assert config is None
    assert len(problems) == 5


def test_nothing_nested_as_deep_as_json_allows_crashes_it() -> None:
    """Whatever the parser let through, what follows gets through too, or says that it is too deep."""
    for depth in range(100, 1100, 10):
        nested = b"[" * depth + b"]" * depth
        for key in (b"peft_type", b"bias", b"new", b"init_lora_weights", b"target_modules", b"exclude_modules"):
            raw = json.dumps(adapter_config()).encode()[:-1] + b', "' + key + b'": ' + nested + b"}"
            _, data, problems = parse_config(raw)
            assert problems or data[key.decode()] != nested


# What a pattern means


@pytest.mark.parametrize(
    ("pattern", "module", "expected"),
    [
        ("q_proj", "model.layers.0.self_attn.q_proj", True),
        ("self_attn.q_proj", "model.layers.0.self_attn.q_proj", True),
        ("proj", "model.layers.0.self_attn.q_proj", False),
        ("q_proj", "q_proj", True),
        ("q_proj", "q_proj.extra", False),
        (r"layers\.[0-3]\..*", "model.layers.2.mlp.up_proj", True),
        ("layers.1", "model.layers.11.mlp", False),
        ("^model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.q_proj", True),
    ],
)
def test_a_pattern_names_the_modules_that_it_names_in_peft(pattern: str, module: str, expected: bool) -> None:
    assert matches(pattern, module) is expected


def test_the_first_pattern_that_matches_counts() -> None:
    """The order of the patterns has a meaning, so it must outlive the canonical form."""
    patterns = {"self_attn.q_proj": 8, ".*proj": 2}
    module = "model.layers.0.self_attn.q_proj"
    assert parsed(rank_pattern=patterns).rank_of(module) == 8
    assert parsed(alpha_pattern={key: float(rank) for key, rank in patterns.items()}).alpha_of(module) == 8.0
    back = config_for_base(canonical_config(adapter_config() | {"rank_pattern": patterns}), "org/base", None)
    config, data, _ = parse_config(back)
    assert config is not None
    assert config.rank_of(module) == 8
    assert list(data["rank_pattern"]) == list(patterns)


def test_target_modules_name_whole_parts() -> None:
    config = parsed()
    assert config.targets("model.layers.0.self_attn.q_proj")
    assert not config.targets("model.layers.0.self_attn.xq_proj")
    for spelling in ("all-linear", "ALL-Linear", "All-linear"):
        assert parsed(target_modules=spelling).targets("anything")
        assert not parsed(target_modules=spelling).targets("lm_head")
    assert not parsed(target_modules=r".*\.q_proj").targets("model.q_proj.inner")


# The canonical form


@given(st.randoms(use_true_random=False))
def test_the_canonical_form_does_not_depend_on_order(random: Any) -> None:
    config = adapter_config(targets=("q_proj", "k_proj", "v_proj", "o_proj")) | {"exclude_modules": ["a", "b"]}
    shuffled = list(config.items())
    random.shuffle(shuffled)
    mixed = dict(shuffled)
    for key in ("target_modules", "exclude_modules"):
        mixed[key] = random.sample(config[key], len(config[key]))
    assert canonical_config(mixed) == canonical_config(config)


def test_the_canonical_form_leaves_out_what_is_the_bases_business() -> None:
    here = adapter_config() | {"base_model_name_or_path": "somewhere/on/this/machine", "revision": "main"}
    there = adapter_config() | {"base_model_name_or_path": None}
    assert canonical_config(here) == canonical_config(there)
    assert b"somewhere" not in canonical_config(here)


def test_the_base_comes_back_when_a_configuration_leaves() -> None:
    """And taking it out once more gives the same bytes, so a trip out and in changes nothing."""
    canonical = canonical_config(adapter_config())
    written = config_for_base(canonical, "org/base", "abc123")
    data = json.loads(written)
    assert (data["base_model_name_or_path"], data["revision"]) == ("org/base", "abc123")
    assert canonical_config(data) == canonical


@pytest.mark.parametrize("key", ["r", "lora_alpha", "target_modules", "rank_pattern", "use_rslora"])
def test_what_has_a_meaning_changes_the_canonical_form(key: str) -> None:
    others = {"r": 5, "lora_alpha": 9, "target_modules": ["q_proj"], "rank_pattern": {"q_proj": 5}, "use_rslora": True}
    assert canonical_config(adapter_config() | {key: others[key]}) != canonical_config(adapter_config())


def test_two_hash_seeds_give_one_canonical_form() -> None:
    """PEFT keeps ``target_modules`` as a set and writes it in hash order, which differs from process to process."""
    program = (
        "from lorarack.registry.artifact.peft_config import canonical_config\n"
        "names = {f'{kind}_proj' for kind in ('q', 'k', 'v', 'o', 'gate', 'up', 'down')}\n"
        "print(list(names), canonical_config({'target_modules': list(names)}), sep='\\n')"
    )

    def lines(seed: str) -> list[str]:
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True)
        return done.stdout.splitlines()

    found = [lines(seed) for seed in ("1", "2")]
    assert found[0][0] != found[1][0], "these seeds give one order; choose others"
    assert found[0][1] == found[1][1]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)


@given(st.dictionaries(st.sampled_from([*adapter_config(), "new"]), anything, max_size=6), st.booleans())
def test_a_random_configuration_is_read_or_refused(changes: dict[str, Any], keep_type: bool) -> None:
    """Never another exception; and what is accepted survives a trip out and in."""
    data = adapter_config() | changes | ({"peft_type": "LORA"} if keep_type else {})
    config, found, problems = parse_config(json.dumps(data).encode())
    assert (config is None) == bool(problems)
    if config is not None:
        canonical = canonical_config(found)
        assert canonical_config(json.loads(config_for_base(canonical, "b", None))) == canonical
