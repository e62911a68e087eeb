"""``lorarack train`` as a user runs it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.command_line import lorarack
from tests.json_schemas import hold

from lorarack.adapters.recipe import Recipe
from lorarack.registry import Registry

Make = Callable[..., Recipe]


@pytest.mark.torch
def test_a_recipe_file_and_options_over_it(tmp_path: Path, registry: Registry, recipe: Make) -> None:
    """The file's keys hold where no option replaces them; each validation is a line on stderr; JSON is alone on stdout."""
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe(eval_every=3).to_yaml())
    answer = lorarack("train", path, "--rank", 2, "--rank", 4, "--json", "--registry", Path(registry.location))
    found = answer.json()
    hold("train", found)
    assert [(version["name"], version["rank"], version["created"]) for version in found] == [
        ("letters", 2, True),
        ("letters", 4, True),
    ]
    for version in found:
        assert version["gap"] == pytest.approx(version["eval_loss"] - version["train_loss"])
        assert version["fit"] in ("underfit", "good", "overfit")
        assert version["best_step"] in (3, 6)
    assert all(version["eval_loss"] > 0 and version["bytes"] > 0 for version in found)
    assert answer.err.count("eval loss") == 4
    shown = lorarack("train", path, "--rank", 4, "--reuse", "--registry", Path(registry.location))
    assert "letters@2" in shown.out
    assert found[1]["fit_reason"] in lorarack("show", "letters@2", "--registry", registry.location).out
    assert "trained by this recipe earlier" in shown.err


@pytest.mark.torch
def test_flags_alone(tmp_path: Path, registry: Registry, recipe: Make) -> None:
    """A name, a base and rows are enough."""
    data = recipe().data
    answer = lorarack(
        *("train", "plain", "--base", "tiny", "--data", data.train, "--validation", data.validation, "--max-steps", 1),
        *(
            "--target-module",
            "q_proj",
            "--rank",
            2,
            "--alpha",
            6,
            "--seed",
            3,
            "--json",
            "--registry",
            Path(registry.location),
        ),
    )
    assert answer.json()[0]["name"] == "plain"
    version = registry.resolve("plain")
    assert (version.alpha, version.target_modules) == (6, ("q_proj",))


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["train", "plain"], 2, "needs --base"),
        (["train", "plain", "--base", "tiny"], 2, "needs --data"),
        (["train", "none.yaml"], 1, "no recipe file"),
        (["train", "Not A Name", "--base", "tiny", "--data", "x.jsonl"], 2, "cannot be a name"),
        (["train", "plain", "--base", "tiny", "--data", "x.jsonl", "--rank", "0"], 2, "ranks are 1 to 512"),
        (["train", "plain", "--base", "tiny", "--data", "x.jsonl"], 1, "no data file"),
        (["train", "plain", "--base", "tony", "--data", "x.jsonl"], 1, "no base model 'tony'"),
    ],
)
def test_mistakes_are_one_sentence(registry: Registry, arguments: list[str], code: int, said: str) -> None:
    answer = lorarack(*arguments, "--registry", Path(registry.location))
    assert (answer.code, answer.out) == (code, "")
    assert said in answer.err
