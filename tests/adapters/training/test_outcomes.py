"""What is said of a run whose rows, weights or versions are not as its user may think."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.adapters.training.conftest import write_rows
from tests.command_line import lorarack
from tests.json_schemas import hold

from lorarack.adapters.recipe import Recipe
from lorarack.adapters.training.progress import Silent
from lorarack.adapters.training.run import train
from lorarack.registry import Registry
from lorarack.registry.errors import InvalidArtifact

pytestmark = pytest.mark.torch
Make = Callable[..., Recipe]


class Notes(Silent):
    """Remembers what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


def test_rows_longer_than_the_bases_context(registry: Registry, recipe: Make, tmp_path: Path) -> None:
    """They are counted, with the way out; where all rows fit, nothing is said."""
    notes = Notes()
    train(recipe(max_steps=1), registry, notes)
    assert not any("context" in said for said in notes.said)
    long = [{"prompt": f"{letter * 300}:", "completion": letter * 302} for letter in "ab"]
    short = [{"prompt": "c", "completion": "d"}]
    path = tmp_path / "long.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in [*long, *short]))
    data = {**recipe().data.to_json(), "train": str(path)}
    train(recipe(max_steps=1, data=data), registry, notes)
    (said,) = [said for said in notes.said if "context" in said]
    assert "Longer than the 256 tokens of the base's context: 2 train rows (the longest has 604)" in said
    assert "set max_length to 256" in said


def test_a_version_found_again_is_reported_with_this_runs_numbers(
    registry: Registry, recipe: Make, tmp_path: Path
) -> None:
    """The same weights are one version; what the second run says is all of the second run."""
    train_rows = recipe().data.train
    found = []
    for name, prompts, shift in (("one", "mn", 1), ("two", "op", 3)):
        rows = write_rows(tmp_path / f"{name}.jsonl", prompts, shift)
        answer = lorarack(
            *("train", "again", "--base", "tiny", "--data", train_rows, "--validation", rows, "--rank", 2),
            *("--run", tmp_path / f"run-{name}", "--max-steps", 1, "--json", "--registry", Path(registry.location)),
        )
        hold("train", answer.json())
        found.extend(answer.json())
    first, second = found
    assert (first["digest"], second["created"]) == (second["digest"], False)
    assert second["eval_loss"] != first["eval_loss"]
    assert second["gap"] == pytest.approx(second["eval_loss"] - second["train_loss"])
    assert second["perplexity"] == pytest.approx(2.718281828 ** second["eval_loss"])


def test_what_cannot_be_published_is_the_learning_rates_doing(registry: Registry, recipe: Make, tmp_path: Path) -> None:
    """The rank and the way out, and no folder that is gone."""
    with pytest.raises(InvalidArtifact) as caught:
        train(recipe(learning_rate=1, max_steps=30, patience=None, alpha=4000), registry)
    assert caught.value.message.startswith("What was trained at rank 4 cannot be published: ")
    assert caught.value.message.endswith("lower learning_rate, and train again.")
    assert "/tmp" not in caught.value.message
    assert "lorarack-train" not in caught.value.message
