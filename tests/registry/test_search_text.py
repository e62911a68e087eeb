"""A text is found where a look at every name, description and tag's value finds it: nothing else, and nothing less."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.registry.search_tables import check_search_tables
from tests.registry.shelf import Shelf
from tests.tiny import tiny_base

from lorarack.registry import Query, Registry, open_registry
from lorarack.registry.catalog.new_version import searchable_text, written

pytestmark = pytest.mark.thorough

#: What folding, quoting, patterns and the index could get wrong, beside plain letters.
ODD = "aAbB éÉßẞſſİıǆΣςσ𝔸🙂e\u0301%_\"'*\\-\n\t\x01\x19\x1a\x1b\x1c\x1d\x1e\x1f\ufeff\ufffd\ufffe\uffff\U0010ffff"
TEXTS = st.text(st.sampled_from(ODD), max_size=8) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8
)
SAID = st.tuples(TEXTS, st.dictionaries(st.sampled_from(["k1", "k2"]), TEXTS))
NAMES = ("support", "acme/a", "acme/b")


@pytest.fixture(scope="module")
def shelved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A version under each name; half of them measured."""
    root: Path = tmp_path_factory.mktemp("shelved")
    with open_registry(root / "home") as registry:
        registry.add_base(str(tiny_base(root / "base")), "tiny")
        shelf = Shelf(registry, root)
        for place, name in enumerate(NAMES):
            shelf.put(name, loss=0.5 - place / 10)
        yield registry


@st.composite
def searches(draw: st.DrawFn) -> tuple[list[tuple[str, dict[str, str]]], str]:
    """What is said of the versions, and a text: any, or one that is there in some case."""
    said = draw(st.lists(SAID, min_size=len(NAMES), max_size=len(NAMES)))
    there = [text for description, tags in said for text in (description, *tags.values())] + list(NAMES)
    text = draw(st.sampled_from(there))
    start, length = draw(st.integers(0, 4)), draw(st.integers(1, 6))
    part = text[start : start + length]
    return said, draw(st.sampled_from([part, part.upper(), part.lower(), part.title()]) | TEXTS)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(search=searches())
@example(search=([("x" * 300 + "tail", {}), ("x" * 300 + "other", {}), ("", {"k1": "X" * 99})], "X" * 250 + "tail"))
@example(search=([("ab", {"k1": "cd"}), ("b\x1fc", {}), ("a", {})], "b\x1fc"))
def test_it_is_found_where_it_is(shelved: Registry, search: tuple[list[tuple[str, dict[str, str]]], str]) -> None:
    """In order of time and of a metric, through every way of writing a description and tags."""
    said, text = search
    for name, (description, tags) in zip(NAMES, said, strict=True):
        shelved.describe(
            f"{name}@1", tags=tags, without=[key for key in ("k1", "k2") if key not in tags], description=description
        )
    meant = {
        name
        for name, (description, tags) in zip(NAMES, said, strict=True)
        if any(text.casefold() in found.casefold() for found in (name, description, *tags.values()))
    }
    for order, names in (("newest", NAMES[::-1]), ("oldest", NAMES), ("eval_loss", NAMES[::-1])):
        found = [version.adapter for version in shelved.search(Query(text=text, order=order)).versions]
        assert found == [name for name in names if name in meant]
    check_search_tables(shelved)


@given(texts=st.lists(TEXTS, max_size=3), text=TEXTS.filter(bool))
@settings(max_examples=500)
def test_words_contain_what_a_text_contains(texts: list[str], text: str) -> None:
    """However texts are written beside each other, nothing arises that is in none of them."""
    assert (written(text) in searchable_text(texts)) == any(text.casefold() in found.casefold() for found in texts)


def test_words_follow_publishing_again_and_deletion(shelf: Shelf) -> None:
    shelf.put(description="first words")
    shelf.registry.publish(shelf.folder / "shelf-1", "support", base="tiny", tags={"a": "Größe"}, description="others")
    shelf.put(description="second words")
    for text, numbers in (("first", []), ("others", [1]), ("GRÖSSE", [1]), ("words", [2]), ("support", [2, 1])):
        assert [version.number for version in shelf.registry.search(Query(text=text)).versions] == numbers
    shelf.registry.archive("support@2")
    shelf.registry.delete("support@2")
    assert shelf.registry.search(Query(text="words")).versions == ()
    check_search_tables(shelf.registry)
