"""The grammar of references: nothing else is one, and what is one comes back as it was written."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorarack.registry.errors import BadReference, UsageError
from lorarack.registry.reference import (
    ByAlias,
    ByDigest,
    ByNumber,
    ByRank,
    Latest,
    Reference,
    Selector,
    parse_reference,
)
from lorarack.registry.texts import check_adapter_name, check_alias_name, is_alias_name

PART = r"[a-z0-9][a-z0-9._-]{0,62}"
parts = st.from_regex(re.compile(PART, re.ASCII), fullmatch=True)
names = st.one_of(parts, st.builds("{}/{}".format, parts, parts))
selectors: st.SearchStrategy[Selector] = st.one_of(
    st.builds(Latest),
    st.builds(ByNumber, st.integers(1, 999_999_999)),
    st.builds(ByRank, st.integers(1, 99_999)),
    st.builds(ByDigest, st.text("0123456789abcdef", min_size=8, max_size=64)),
    st.builds(ByAlias, parts.filter(is_alias_name)),
)

WRITTEN: dict[str, Reference] = {
    "support": Reference("support", ByAlias("default")),
    "support@default": Reference("support", ByAlias("default")),
    "support@3": Reference("support", ByNumber(3)),
    "support@prod": Reference("support", ByAlias("prod")),
    "support@latest": Reference("support", Latest()),
    "support@r16": Reference("support", ByRank(16)),
    "support@sha256:ab12cd34": Reference("support", ByDigest("ab12cd34")),
    "acme/support@2.1-rc": Reference("acme/support", ByAlias("2.1-rc")),
    "0@1": Reference("0", ByNumber(1)),
    "a@r": Reference("a", ByAlias("r")),
    "a@r1x": Reference("a", ByAlias("r1x")),
}

NOT_REFERENCES = (
    "", "@", "@3", "support@", "Support", "süß", "sup port", "support ", " support", "support\n", "support@3\n",
    "a/b/c", "/a", "a/", "a//b", "../a", "a/..", ".", "..", ".hidden", "-flag", "_x", "a@b@c", "a@@", "a@0", "a@01", "a@-1",
    "a@1.0\x00", "a@r0", "a@r016", "a@Prod", "a@sha256", "a@sha256:", "a@sha256:ab12cd3", "a@sha256:AB12CD34",
    "a@sha256:" + "a" * 65, "a@٣", "a@²", "a@r１６", "a" * 64, "a/" + "b" * 64, "a@" + "b" * 64, "a@1234567890", "a@r123456",
    "a\\b", "a:b", "c:\\x", "a%2fb", "a@prod/x", "~/a", "$HOME",
)  # fmt: skip


@pytest.mark.parametrize(("text", "meant"), WRITTEN.items(), ids=WRITTEN)
def test_each_form_means_what_the_table_says(text: str, meant: Reference) -> None:
    assert parse_reference(text) == meant


@pytest.mark.parametrize("text", NOT_REFERENCES, ids=ascii)
def test_anything_else_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(BadReference, match="is not a reference") as raised:
        parse_reference(text)
    assert raised.value.exit_code == 2


@given(st.builds(Reference, names, selectors))
def test_what_is_written_is_what_was_parsed(reference: Reference) -> None:
    """``parse`` undoes ``str``, and the text is in canonical form."""
    text = str(reference)
    assert parse_reference(text) == reference
    assert str(parse_reference(text)) == text


GRAMMAR = re.compile(
    rf"{PART}(/{PART})?(@(latest|[1-9][0-9]{{0,8}}|r[1-9][0-9]{{0,4}}|sha256:[0-9a-f]{{8,64}}|(?P<alias>{PART})))?",
    re.ASCII,
)


@given(st.text(st.sampled_from("ab/@.r1-_0:sha256lte \n\x00é"), max_size=40) | st.text(max_size=20))
def test_nothing_outside_the_grammar_is_accepted(text: str) -> None:
    """The parser and the grammar, written down once more by other means, accept the same texts."""
    found = GRAMMAR.fullmatch(text)
    alias = found["alias"] if found else None
    reserved = alias is not None and (alias.isdigit() or bool(re.fullmatch("r[0-9]+|latest|sha256", alias)))
    if found and not reserved:
        parse_reference(text)
    else:
        with pytest.raises(BadReference):
            parse_reference(text)


@given(names)
def test_a_name_never_leads_out_of_a_folder(name: str) -> None:
    """Even if somebody made a path of it: it stays below the folder it is joined to."""
    root = Path("/registry")
    assert check_adapter_name(name) == name
    assert root in (root / name).resolve().parents


@pytest.mark.parametrize("alias", ["latest", "sha256", "1", "007", "r1", "r016", "", "a/b", "A", ".a", "a@b", "a" * 64])
def test_an_alias_cannot_take_the_name_of_another_selector(alias: str) -> None:
    with pytest.raises(UsageError, match="cannot be an alias"):
        check_alias_name(alias)


@given(parts.filter(is_alias_name))
def test_an_alias_that_may_be_set_can_be_asked_for(alias: str) -> None:
    assert parse_reference(f"a@{check_alias_name(alias)}").selector == ByAlias(alias)


@pytest.mark.parametrize("name", ["", "A", "a b", "a/b/c", "../a", "a@1", "a" * 64, "a\n"])
def test_a_bad_name_is_a_usage_error(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be a name") as raised:
        check_adapter_name(name)
    assert raised.value.code == "bad_name"
