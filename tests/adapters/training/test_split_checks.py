"""Splits that do not go together are refused before anything is trained."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.adapters.training.conftest import write_rows

from lorarack.adapters.recipe import Recipe
from lorarack.adapters.training.inputs import read_inputs
from lorarack.registry import Registry
from lorarack.registry.errors import UsageError

Make = Callable[..., Recipe]

KINDS: dict[str, dict[str, Any]] = {
    "prompts with answers": {"prompt": "{}", "completion": "b"},
    "conversations": {"messages": [{"role": "user", "content": "{}"}, {"role": "assistant", "content": "b"}]},
    "plain texts": {"text": "{}"},
}


def rows_of(folder: Path, kind: str, prompts: str) -> str:
    path = folder / f"{kind.replace(' ', '-')}-{prompts}.jsonl"
    path.write_text("".join(json.dumps(KINDS[kind]).replace("{}", letter) + "\n" for letter in prompts))
    return str(path)


@pytest.mark.parametrize("split", ["validation", "test"])
@pytest.mark.parametrize(("first", "second"), [(one, other) for one in KINDS for other in KINDS if one != other])
def test_rows_of_two_kinds(
    registry: Registry, recipe: Make, tmp_path: Path, split: str, first: str, second: str
) -> None:
    """Also where the same question is in both, which no check of leaks would see."""
    data = {"train": rows_of(tmp_path, first, "abcd"), split: rows_of(tmp_path, second, "ab")}
    with pytest.raises(UsageError, match=f"are {first} and the {split} rows in .* are {second}; write both alike"):
        read_inputs(recipe(data=data), registry)


def test_test_rows_that_are_validation_rows(registry: Registry, recipe: Make, tmp_path: Path) -> None:
    """Given as a file, or set aside from the training rows."""
    data = recipe().data.to_json()
    with pytest.raises(UsageError, match=r"4 of the 4 test rows in validation.jsonl are also in validation.jsonl"):
        read_inputs(recipe(data={**data, "test": data["validation"]}), registry)
    alone = {"train": data["train"]}
    aside = read_inputs(recipe(data=alone), registry).validation
    prompt = (aside.rows[0].prompt or "").rstrip(":")
    same = write_rows(tmp_path / "test.jsonl", "yz" + prompt)
    with pytest.raises(UsageError, match=r"1 of the 3 test rows in test.jsonl are also in train.jsonl \(part\)"):
        read_inputs(recipe(data={**alone, "test": str(same)}), registry)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            {"revision": "abc"},
            "'revision' under data is for data sets on the Hub, and 'train.jsonl' is on this machine",
        ),
        ({"subset": "small"}, "'subset' under data is for data sets on the Hub"),
        ({"splits": {"train": "train_sft"}}, "'train.jsonl' is a file, which has one split alone; leave 'train' out"),
        ({"splits": {"test": "held_out"}}, "leave 'test' out"),
    ],
)
def test_keys_without_effect(registry: Registry, recipe: Make, more: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_inputs(recipe(data={**recipe().data.to_json(), **more}), registry)


def test_splits_of_a_folder_have_an_effect(registry: Registry, recipe: Make, tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    write_rows(tmp_path / "rows" / "learn.jsonl", "abc")
    data = {**recipe().data.to_json(), "train": str(tmp_path / "rows"), "splits": {"train": "learn"}}
    assert len(read_inputs(recipe(data=data), registry).train) == 3


def test_too_many_steps_are_refused_before_anything_begins(registry: Registry, recipe: Make) -> None:
    plan = recipe(max_steps=None, epochs=100_000, batch_size=1)
    write_rows(Path(plan.data.train), "".join(chr(0x4E00 + place) for place in range(200)))
    with pytest.raises(UsageError, match="20000000 steps, and a run takes at most 10000000"):
        read_inputs(plan, registry)
