"""Folders of this machine do not leave it."""

import pytest
from pydantic import JsonValue

from lorarack.registry.hub.privacy import plain, without_paths


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("/home/jo/train.jsonl", "train.jsonl"),
        ("see /home/jo/train.jsonl, please", "see train.jsonl, please"),
        ("path=/srv/x/y", "path=y"),
        ("data:/srv/x/y", "data:y"),
        ("~/data/x", "x"),
        ("~jo/data/x", "x"),
        ("../secret/x", "x"),
        ("file:///srv/x/y", "y"),
        (r"C:\Users\Jo\x.jsonl", "x.jsonl"),
        ("(C:/Users/Jo/x.jsonl)", "(x.jsonl)"),
        (r"\\server\share\x", "x"),
        ('"/a/b" and "/c/d"', '"b" and "d"'),
    ],
)
def test_a_path_is_cut_to_its_last_part(text: str, left: str) -> None:
    assert without_paths(text) == left


@pytest.mark.parametrize(
    "text", ["and/or", "acme/orders", "https://example.org/a/b", "text", "", "3/4", "a / b", "1.5", "data/train.jsonl"]
)
def test_what_only_has_a_slash_is_left_alone(text: str) -> None:
    assert without_paths(text) == text


def test_a_recipe_is_cleaned_all_through() -> None:
    """Also a path with blanks in it, in lists, in objects and in keys."""
    recipe: dict[str, JsonValue] = {"a": ["/x/my data/y", {"/k/l": "~/my z"}], "n": 3, "none": None, "yes": True}
    assert plain(recipe) == {"a": ["y", {"l": "my z"}], "n": 3, "none": None, "yes": True}
