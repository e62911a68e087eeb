"""``adapter_config.json``: only what is served as it was trained is accepted, and equal meaning gives equal bytes."""

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.registry.artifact.configurations import parsed, problems_of
from tests.tiny import adapter_config

from lorarack.registry.artifact.adapter_config import applied_config, canonical_config, config_for_base, parse_config
from lorarack.registry.artifact.peft_config import matches


def test_what_peft_writes_by_default_is_accepted() -> None:
    config = parsed()
    assert (config.r, config.lora_alpha, config.target_modules) == (4, 8, ("q_proj", "v_proj"))


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


def test_a_stored_configuration_is_read_whatever_is_accepted_today() -> None:
    """A version of an earlier release can be compared, though it would not be published again."""
    stored = json.dumps(adapter_config() | {"init_lora_weights": "lora_ga", "future_feature": True}).encode()
    found = applied_config(stored)
    assert found is not None
    assert found.alpha_of("model.layers.0.self_attn.q_proj") == 8
    assert applied_config(b"{") is None


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
        "from lorarack.registry.artifact.adapter_config import canonical_config\n"
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
