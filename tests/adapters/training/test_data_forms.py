"""Training from the forms in which people have rows, as a user runs it."""

from pathlib import Path

import pytest
from tests.adapters.training.conftest import LETTERS
from tests.command_line import lorarack
from tests.json_schemas import hold

from lorarack.registry import Registry

pytestmark = pytest.mark.torch


def test_a_csv_with_columns_of_its_own(tmp_path: Path, registry: Registry) -> None:
    """One command; what was found is said in one line, and counted for programs."""
    rows = tmp_path / "rows.csv"
    rows.write_text(
        "question,answer,source\n" + "".join(f"{letter}:,{letter * 3},x\n" for letter in LETTERS) + "a:,b,x\n"
    )
    command = (
        "train",
        "letters",
        "--base",
        "tiny",
        "--data",
        rows,
        "--max-steps",
        2,
        "--rank",
        2,
        "--registry",
        registry.location,
    )
    refused = lorarack(*command)
    assert refused.code == 2
    assert "--column prompt=question --column completion=answer" in refused.err
    answer = lorarack(*command, "--column", "prompt=question", "--column", "completion=answer", "--json")
    found = answer.json()
    hold("train", found)
    assert "rows.csv: rows are prompts and completions: 17 rows, loss on the answer." in answer.err
    assert "ignored, since they reach neither prompt nor answer: 'source' (17 rows)" in answer.err
    train, validation = found[0]["data"]
    assert (train["rows"] + validation["rows"], train["dropped"]) == (17, 0)
    assert train["conflicting"] + validation["conflicting"] == 1
    assert train["tokens"]["longest"] == 6


def test_texts_and_a_folder_of_splits(tmp_path: Path, registry: Registry) -> None:
    """A folder's validation rows are taken without being named; rows that are too long are left out, counted and shown."""
    folder = tmp_path / "texts"
    folder.mkdir()
    long = "a" * 90
    (folder / "train.jsonl").write_text("".join(f'{{"text": "{letter}{letter}"}}\n' for letter in [*"abcd", long]))
    (folder / "valid.jsonl").write_text('{"text": "ef"}\n')
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("name: texts\nbase: tiny\ndata: texts\nmax_steps: 1\nmax_length: 64\ntoo_long: drop\nranks: 2\n")
    answer = lorarack("train", recipe, "--json", "--registry", registry.location)
    train, validation = answer.json()[0]["data"]
    assert [(part["name"], part["shape"], part["dropped"]) for part in (train, validation)] == [
        ("train.jsonl", "plain texts", 1),
        ("valid.jsonl", "plain texts", 0),
    ]
    assert "1 longer ones are left out" in answer.err
