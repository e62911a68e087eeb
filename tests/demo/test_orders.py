"""The shipped task is what its generator makes, and its splits share nothing."""

import json
from pathlib import Path

from lorarack.adapters.data import check_leaks, load_rows
from lorarack.adapters.recipe import load_recipe
from lorarack.demo.orders import TASK, heldout_path, recipe_path, train_path, validation_path
from lorarack.demo.orders.generate import SPLITS, make_rows, write_rows

PATHS = {"train": train_path(), "validation": validation_path(), "heldout": heldout_path()}


def test_the_shipped_rows_are_made_again_byte_for_byte(tmp_path: Path) -> None:
    """The generator is the source; the files are never edited."""
    write_rows(tmp_path)
    for split, path in PATHS.items():
        assert (tmp_path / f"{split}.jsonl").read_bytes() == path.read_bytes()


def test_another_seed_makes_other_rows() -> None:
    assert make_rows(1)["train"] != make_rows(2)["train"]


def test_splits_share_neither_sentences_nor_answers() -> None:
    """Nothing that is measured was seen in training."""
    rows = {split: load_rows(path) for split, path in PATHS.items()}
    assert {split: len(found) for split, found in rows.items()} == SPLITS
    check_leaks(rows["train"], [("validation", rows["validation"]), ("heldout", rows["heldout"])])
    answers = [row.completion for found in rows.values() for row in found]
    assert len(set(answers)) == len(answers)


def test_every_answer_is_a_call_that_a_till_understands() -> None:
    """One JSON object with items, and a time exactly when the order leaves the house."""
    for path in PATHS.values():
        for row in load_rows(path):
            call = json.loads(row.completion)
            assert call["items"]
            assert all(item["n"] in range(1, 7) for item in call["items"])
            assert ("at" in call) == (call["for"] != "here")
            assert row.prompt_messages[0] == {"role": "system", "content": TASK.system}


def test_the_example_is_the_shipped_recipe() -> None:
    """``examples/orders.yaml`` says the same as the recipe that the demo trains by, and finds the same rows."""
    example = Path(__file__).parents[2] / "examples" / "orders.yaml"
    assert load_recipe(example) == load_recipe(recipe_path())
