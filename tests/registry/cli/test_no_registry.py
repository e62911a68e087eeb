"""A mistyped folder is found out: commands that need something to be there make no registry to look in."""

from pathlib import Path

import pytest
from tests.command_line import lorarack
from tests.tiny import tiny_base

from lorarack.registry import open_registry
from lorarack.registry.errors import NotFound

COMMANDS = {
    "list": ["list"],
    "show": ["show", "support"],
    "search": ["search"],
    "best": ["best", "support", "--metric", "eval_loss"],
    "diff": ["diff", "a@1", "a@2"],
    "lineage": ["lineage", "a@1"],
    "events": ["events"],
    "base list": ["base", "list"],
    "base link": ["base", "link", "a", "--original", "b", "--relation", "quantized"],
    "publish": ["publish", "folder", "support", "--base", "tiny"],
    "tag": ["tag", "a@1", "k=v"],
    "alias set": ["alias", "set", "a@prod", "1"],
    "alias list": ["alias", "list"],
    "alias history": ["alias", "history", "a@prod"],
    "promote": ["promote", "a@1", "prod", "--require", "eval_loss"],
    "rollback": ["rollback", "a@prod"],
    "archive": ["archive", "a@1"],
    "retention": ["retention", "a", "--none"],
    "gc": ["gc"],
    "delete": ["delete", "a@1"],
    "verify": ["verify", "--all"],
    "fetch": ["fetch", "a@1", "out"],
    "export": ["export", "out"],
    "import": ["import", "in"],
    "push": ["push", "a@1", "acme/a"],
    "pull": ["pull", "acme/a"],
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_folder_without_a_registry_is_refused(command: list[str], tmp_path: Path) -> None:
    typo = tmp_path / "typo"
    answer = lorarack(*command, "--registry", typo)
    assert answer.code == 1
    assert f"There is no registry in '{typo}'" in answer.err.replace("\n", " ")
    assert list(tmp_path.iterdir()) == []


def test_the_environment_can_be_mistyped_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORARACK_REGISTRY", str(tmp_path / "typo"))
    assert lorarack("list").code == 1
    assert list(tmp_path.iterdir()) == []


def test_the_home_is_made_on_first_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has just installed lorarack may look around."""
    monkeypatch.delenv("LORARACK_REGISTRY", raising=False)
    monkeypatch.setenv("LORARACK_HOME", str(tmp_path / "home"))
    answer = lorarack("list", "--json")
    assert (answer.code, answer.json()) == (0, [])


def test_a_first_base_begins_a_registry_anywhere(tmp_path: Path) -> None:
    base = tiny_base(tmp_path / "base")
    assert lorarack("base", "add", base, "--registry", tmp_path / "new").code == 0
    assert lorarack("list", "--json", "--registry", tmp_path / "new").json() == []


def test_in_python_it_is_as_asked(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="'lorarack base add FOLDER-OR-ID --registry FOLDER'") as raised:
        open_registry(tmp_path / "new", create=False)
    assert raised.value.code == "no_registry"
    open_registry(tmp_path / "new").close()
    open_registry(tmp_path / "new", create=False).close()
