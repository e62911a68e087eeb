"""The rule of parity: rounding passes, what was not applied as trained does not, and what cannot be told is not refused."""

import random
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.command_line import lorarack
from tests.json_schemas import hold

from lorarack.registry import Registry
from lorarack.registry.parity import TOLERANCES, Logprobs, Parity, ServingRecord, compare_logprobs
from lorarack.registry.reference_logprobs import ReferenceLogprobs, ReferencePrompt

LENGTHS = (12, 30)


def reference(dtype: str = "float32", seed: int = 0) -> ReferenceLogprobs:
    choice = random.Random(seed)
    prompts = [
        ReferencePrompt(token_ids=tuple(range(length + 1)), logprobs=tuple(-8 * choice.random() for _ in range(length)))
        for length in LENGTHS
    ]
    return ReferenceLogprobs(dtype=dtype, prompts=tuple(prompts))


def moved(of: ReferenceLogprobs, by: float) -> Logprobs:
    return [[value + by for value in prompt.logprobs] for prompt in of.prompts]


def held(dtype: str, served: str | None, by: float, effect: float, *, strict: bool = True) -> Parity:
    one = reference(dtype)
    found = compare_logprobs(one, moved(one, by), moved(one, effect), served, strict=strict)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("dtype", "served", "by", "effect", "state"),
    [
        ("float32", "float32", 0.005, 1.0, "same"),
        ("float32", "float32", 0.5, 1.0, "other"),  # half the scale
        ("float32", "float32", 1.0, 1.0, "other"),  # the base
        ("float32", "float32", 0.2, 1.0, "drifted"),
        ("bfloat16", "float32", 0.05, 0.2, "same"),  # trained in another type than it is served in, and the other way
        ("float32", "bfloat16", 0.05, 0.2, "same"),
        ("float16", "bfloat16", 0.09, 0.2, "same"),
        ("float32", "float16", 0.09, 0.2, "other"),
        ("bfloat16", "bfloat16", 0.21, 4.3, "same"),  # as measured of a violent adapter: rounding grows with the effect
        ("bfloat16", "bfloat16", 0.09, 0.09, "same"),  # not applied, and too mild to be told from rounding
        ("float32", None, 1.0, 1.0, "drifted"),  # an unknown type may round by anything
        ("float8", "float32", 1.0, 1.0, "drifted"),
    ],
)  # fmt: skip
def test_the_rule(dtype: str, served: str | None, by: float, effect: float, state: str) -> None:
    assert held(dtype, served, by, effect).state == state


def test_over_a_copy_of_the_base_nothing_is_refused() -> None:
    """A quantised base is another function, off by more than rounding."""
    assert held("float32", "float32", 1.0, 1.0, strict=False).state == "drifted"


def test_what_cannot_be_compared_is_not() -> None:
    one = reference()
    same = moved(one, 0.0)
    for mine, base in (
        (same[:1], same),
        (same, [same[0], same[1][:-1]]),
        ([[], []], same),
        ([[float("nan")] * 12, same[1]], same),
    ):
        assert compare_logprobs(one, mine, base, "float32") is None
    assert compare_logprobs(ReferenceLogprobs(dtype="float32", prompts=()), [], [], "float32") is None


@given(st.sampled_from([*TOLERANCES, None]), st.sampled_from([*TOLERANCES, "int4"]), st.floats(0, 20), st.floats(0, 20))
def test_nearer_is_never_worse(served: str | None, dtype: str, by: float, effect: float) -> None:
    """And what it is off by, and what it says, are finite."""
    order = ["same", "drifted", "other"]
    near, far = held(dtype, served, by / 2, effect), held(dtype, served, by, effect)
    assert order.index(near.state) <= order.index(far.state)
    assert near.mean <= far.mean
    assert "log probabilities differ by" in far.words


def test_show_says_what_the_server_found_that_loaded_it_last(registry: Registry, adapter: Path) -> None:
    version = registry.publish(adapter, "support", base="tiny").version
    where = ("--registry", registry.location)
    assert lorarack("show", "support", "--json", *where).json()["serving_record"] is None
    assert "served" not in lorarack("show", "support", *where).out
    record = ServingRecord(
        at=datetime(2026, 3, 4, tzinfo=UTC), vllm="0.32.0", dtype="float32", base_fingerprint=version.base_fingerprint,
        effect="changes it", parity=held("float32", "float32", 0.005, 1.0),
    )  # fmt: skip
    registry.keep_serving_record(version, record)
    found = lorarack("show", "support", "--json", *where).json()
    hold("show", found)
    assert found["serving_record"]["parity"]["state"] == "same"
    shown = " ".join(lorarack("show", "support", *where).out.split())
    assert "vLLM 0.32.0, float32: changes it; is what was trained" in shown
    registry.keep_serving_record(version, record.model_copy(update={"refused": "It is not.", "parity": None}))
    assert "float32: It is not (2026" in " ".join(lorarack("show", "support", *where).out.split())
