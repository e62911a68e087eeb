"""An empty key would serve everybody."""

import pytest
from tests.command_line import lorarack

from lorarack.registry.errors import UsageError
from lorarack.server.api_keys import check_keys


@pytest.mark.parametrize(
    ("flag", "variable"),
    [
        ([""], None), ([" "], None), (["good", ""], None), (["\t", "good"], None), ([], None), (None, ""), (None, "  "),
        (["good"], ""), (["good\n"], None), (None, "good\n"), (["schlüssel"], None), (["a\x00b"], None),
    ],
)  # fmt: skip
def test_refused(flag: list[str] | None, variable: str | None) -> None:
    """Each by itself: one of several, and the variable also where the flag wins."""
    with pytest.raises(UsageError, match="key") as refused:
        check_keys(flag, {} if variable is None else {"VLLM_API_KEY": variable})
    assert "good" not in refused.value.message, "a key never reaches a log"


@pytest.mark.parametrize(
    ("flag", "variable"), [(None, None), (["good"], None), (["one", "two"], "three"), (None, "a b")]
)
def test_taken(flag: list[str] | None, variable: str | None) -> None:
    check_keys(flag, {} if variable is None else {"VLLM_API_KEY": variable})


@pytest.mark.parametrize("key", ["", " \t"])
def test_who_asks_with_an_empty_key_is_told(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("LORARACK_TOKEN", key)
    answer = lorarack("ask", "support", "hi")
    assert answer.code == 2
    assert "LORARACK_TOKEN is empty" in answer.err
