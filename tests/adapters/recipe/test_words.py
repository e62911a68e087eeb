"""What a recipe cannot hold is refused in words that say what to write."""

import pytest

from lorarack.adapters.cli_recipe import data_settings
from lorarack.adapters.recipe import DataPlan, Recipe, parse_recipe
from lorarack.adapters.recipe.words import WANTED
from lorarack.adapters.training.plan import make_plan
from lorarack.registry.errors import UsageError

MINIMAL = {"name": "support", "base": "tiny", "data": "rows.jsonl"}
#: Words of the library that checks the types.
FOREIGN = ("input should", "tuple", "dictionary", "instance", "after validation", "none", "valid ")
VALUES = ("true", "'4'", "'x'", "[x]", "[]", "{a: 1}", "1.5", "-3", "2020-01-01", "", ".inf", "''", "[[4]]")


def refusal(text: str) -> str | None:
    """What is said of a recipe; None where it is taken."""
    try:
        parse_recipe(text)
    except UsageError as error:
        said = error.message
    else:
        return None
    assert "\n" not in said
    return said


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("key", [*Recipe.model_fields, *(f"data.{key}" for key in DataPlan.model_fields)])
def test_every_key_says_what_to_write(key: str, value: str) -> None:
    """Of whatever type the value is: it is taken, or a sentence names the key, in no other library's words."""
    kept = {"train": "rows.jsonl"} if key.startswith("data.") else {}
    if kept:
        inner = {**kept, key.removeprefix("data."): value}
        written = {**MINIMAL, "data": f"{{{', '.join(f'{name}: {inner[name]}' for name in inner)}}}"}
    else:
        written = {**MINIMAL, key: value}
    said = refusal("".join(f"{name}: {value}\n" for name, value in written.items()))
    if said is not None and "is no key of data" not in said:
        assert key in said
        assert not any(word in said.lower() for word in FOREIGN), said


def test_the_words_are_of_the_keys_that_there_are() -> None:
    assert {*WANTED} == {*Recipe.model_fields, *(f"data.{key}" for key in DataPlan.model_fields)}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('ranks: "4"', "'ranks' cannot be '4': write a list of whole numbers from 1 to 512, as [4, 16]."),
        ("ranks:", "'ranks' is left empty; write a list of whole numbers from 1 to 512, as [4, 16]."),
        ("ranks: []", "'ranks' cannot be []: write a list"),
        ("target_modules: q_proj", "'target_modules' cannot be 'q_proj': write a list of modules' names"),
        ("data: [x]", "'data' cannot be ['x']: write a path, or a mapping"),
        ("data:", "'data' is left empty; write a path, or a mapping"),
        ("data: {train: a, splits: {train: ''}}", "'data.splits' cannot be ''"),
        ("data: ''", "'data.train' cannot be '': write a file"),
        ("data: {train: a, validation: ' '}", "'data.validation' cannot be ' ': write a file"),
        ("data: {train: a, test: ''}", "'data.test' cannot be ''"),
        ("epochs: 1.0e+300", "'epochs' cannot be 1e+300: write a number above 0 and at most 100000"),
        ("max_steps: 10000001", "write a whole number from 1 to 10000000"),
    ],
)
def test_the_sentences(line: str, said: str) -> None:
    written = {**MINIMAL, line.partition(":")[0]: line.partition(":")[2]}
    assert said in (refusal("".join(f"{name}: {value}\n" for name, value in written.items())) or "")


@pytest.mark.parametrize(
    "key",
    [
        *("learning_rate", "max_steps", "epochs", "batch_size", "seed", "alpha", "alpha_per_rank", "dropout", "warmup"),
        *("weight_decay", "max_grad_norm", "gradient_accumulation", "max_length", "eval_every", "patience", "ranks"),
    ],
)
@pytest.mark.parametrize("value", ["true", "no", "[true]"])
def test_true_is_no_number(key: str, value: str) -> None:
    text = "".join(f"{name}: {value}\n" for name, value in {**MINIMAL, key: value}.items())
    assert f"'{key}' cannot be" in (refusal(text) or "")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("ranks: [4]\nseed: 1\nranks: [2]\n", "has the key 'ranks' twice (lines 4 and 6); keep one."),
        ("peft: {a: {b: 1, b: 2}}\n", "has the key 'b' twice (line 4); keep one."),
        ("report_to: [{x: 1,\n x: 2}]\n", "has the key 'x' twice (lines 4 and 5)"),
        ("name: other\n", "has the key 'name' twice"),
        ("ranks: " + "[" * 3000, "nested too deeply"),
        ("ranks: 2020-13-45\n", "not YAML"),
    ],
)
def test_yaml_that_says_two_things_or_nothing(more: str, said: str) -> None:
    text = "".join(f"{name}: {value}\n" for name, value in MINIMAL.items())
    assert said in (refusal(text + more) or "")


def test_what_is_merged_in_may_be_replaced() -> None:
    """YAML's ``<<`` brings in keys that the mapping may have too, also where what it brings in was merged itself."""
    text = "name: a\nbase: b\ndata:\n  train: x\n  splits:\n    <<: {train: a, test: b}\n    train: c\n"
    assert parse_recipe(text).data.splits == {"train": "c", "test": "b"}
    again = "peft:\n  x: &one {<<: {a: 1}, a: 2}\n  y: {<<: *one, a: 3}\n"
    found = parse_recipe("name: a\nbase: b\ndata: c\n" + again).peft
    assert found == {"x": {"a": 2}, "y": {"a": 3}}


def test_epochs_that_make_too_many_steps() -> None:
    recipe = parse_recipe("name: a\nbase: b\ndata: c\nepochs: 100000\nbatch_size: 1\n")
    assert make_plan(recipe, 100).steps == 10_000_000
    with pytest.raises(UsageError, match="are 10100000 steps, and a run takes at most 10000000; lower epochs"):
        make_plan(recipe, 101)


def test_options_that_are_empty_or_given_twice() -> None:
    for place, flag in enumerate(("--data", "--validation", "--test")):
        sources = ["x", "y", "z"]
        sources[place] = ""
        with pytest.raises(UsageError, match=f"{flag} is empty; name a file"):
            data_settings(sources[0], sources[1], None, None, sources[2])
    with pytest.raises(UsageError, match="'prompt' twice"):
        data_settings("x", None, ["prompt=a", "completion=c", "prompt=b"], None)
    assert data_settings("/x", None, None, None) == {"train": "/x"}
