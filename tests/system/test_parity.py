"""A trained version is held against its training when it is loaded: what is served otherwise is refused, rounding is not."""

import time
from pathlib import Path
from typing import Any

import pytest
from tests.system.server import Server
from tests.system.session_server import BASE

from lorarack.registry.reference_logprobs import ReferenceLogprobs, ReferencePrompt
from lorarack.registry.values import Provenance

pytestmark = [pytest.mark.system, pytest.mark.torch]


def said_by(reference: Any, name: str, dtype: str = "float32", off: float = 0.0) -> ReferenceLogprobs:
    """What PEFT says with that adapter about training's texts, as training keeps it."""
    from lorarack.adapters.training.reference import LONGEST, TEXTS

    prompts = []
    for text in TEXTS:
        ids = reference.tokenizer(text)["input_ids"][:LONGEST]
        logprobs = tuple(value + off for value in reference.truth(name, ids).logprobs)
        prompts.append(ReferencePrompt(token_ids=tuple(ids), logprobs=logprobs))
    return ReferenceLogprobs(dtype=dtype, prompts=tuple(prompts))


def test_what_was_trained_is_served_and_what_was_not_is_refused(
    server: Server, adapters: dict[str, Path], reference: Any
) -> None:
    """On the same weights: the reference of this adapter, one off by bfloat16's rounding, and that of another adapter."""
    folder = adapters["plain@2"]
    for name, kept in (
        ("parity-right", said_by(reference, "plain@2")),
        ("parity-rounded", said_by(reference, "plain@2", "bfloat16", 0.04)),
        ("parity-wrong", said_by(reference, "rslora@1")),
    ):
        server.registry.publish(folder, name, base=BASE, provenance=Provenance(reference=kept))
    server.complete("parity-right", "x", max_tokens=1)
    server.complete("parity-rounded", "x", max_tokens=1)
    refused = server.post("/v1/completions", model="parity-wrong", prompt="x", max_tokens=1)
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "not_as_trained")
    assert "parity-wrong@1 is not what was trained" in refused.json()["error"]["message"]
    table = server.client.get("/v1/residency").json()
    rows = {row["reference"]: row for row in table["data"]}
    right, rounded = rows["parity-right@1"]["parity"], rows["parity-rounded@1"]["parity"]
    assert (right["state"], right["trained_in"], right["served_in"]) == ("same", "float32", "float32")
    assert right["mean"] < right["tolerance"] / 3, "the tolerance is no accident"
    assert right["effect"] > 10 * right["mean"]
    assert (rounded["state"], rounded["tolerance"]) == ("same", pytest.approx(0.1, abs=0.05))
    assert rows["parity-wrong@1"]["state"] == "failed"
    assert (table["dtype"], table["base"]) == ("float32", BASE)
    end = time.monotonic() + 20
    while (record := server.registry.serving_record(server.registry.get_version("parity-wrong@1"))) is None:
        assert time.monotonic() < end, "the record is kept in a while"
        time.sleep(0.1)
    assert record.refused is not None
    assert "is not what was trained" in record.refused
    good = server.registry.serving_record(server.registry.resolve("parity-right"))
    assert good is not None
    assert good.parity is not None
    assert good.parity.mean == pytest.approx(right["mean"])
