"""Keys from the command line: printed once, listed without their secrets, revoked by name."""

from pathlib import Path

import pytest
from tests.command_line import lorarack

from lorarack.registry import open_registry


@pytest.fixture(autouse=True)
def registry(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORARACK_REGISTRY", str(home))


def test_the_secret_alone_is_on_stdout_and_never_shown_again() -> None:
    """So a script can take it."""
    made = lorarack("key", "add", "ci", "--adapters", "sup*", "--adapters", "acme/*", "--expires", "90d")
    secret = made.out.strip()
    assert made.out == f"{secret}\n"
    assert "No adapter or base matches 'acme/*' yet." in made.err
    assert "it is not shown again" in made.err
    assert secret not in made.err
    listed = lorarack("key", "list")
    for part in ("ci", "active", "inference", "sup* acme/*", secret[:16]):
        assert part in listed.out
    revoked = lorarack("key", "revoke", "ci")
    assert revoked.out == "ci opens nothing any more.\n"
    assert "revoked" in lorarack("key", "list").out
    said = [listed, revoked, lorarack("key", "list", "--json"), lorarack("events", "--json"), lorarack("events")]
    assert [answer for answer in said if secret[17:] in answer.out + answer.err] == []


def test_without_keys_it_says_what_that_means(home: Path) -> None:
    assert "servers over this registry ask for none" in lorarack("key", "list").out
    assert lorarack("key", "list", "--json").json() == []


def test_what_a_key_is_for_is_what_was_said(home: Path) -> None:
    lorarack("key", "add", "monitor", "--scope", "metrics")
    lorarack("key", "add", "ops", "--scope", "admin", "--scope", "inference")
    with open_registry(home) as registry:
        assert {key.name: (key.scopes, key.adapters) for key in registry.keys.list()} == {
            "monitor": (("metrics",), ("*",)),
            "ops": (("inference", "admin"), ("*",)),
        }
