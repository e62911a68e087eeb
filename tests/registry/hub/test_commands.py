"""``lorarack push`` and ``lorarack pull`` on the command line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.hub_stand_in.client import environment
from tests.hub_stand_in.hub import Hub
from tests.registry.hub.conftest import TOKEN, Command

from lorarack.registry import Published
from lorarack.registry.hub.push import push
from lorarack.registry.interface import Registry


def test_push_says_where_it_is_and_how_others_get_it(hub: Hub, lorarack: Command, orders: Published) -> None:
    code, out, _ = lorarack("push", "orders", "acme/orders")
    commit = hub.repositories["acme/orders"].head.sha
    assert code == 0
    assert f"Pushed orders@1 at {hub.url}/acme/orders (commit {commit[:12]})" in out
    assert "lorarack pull acme/orders" in out
    assert "Already there: orders@1" in lorarack("push", "orders", "acme/orders")[1]


def test_push_in_json(hub: Hub, lorarack: Command, orders: Published) -> None:
    code, out, _ = lorarack("push", "orders", "acme/orders", "--private", "--license", "mit", "--json")
    record = json.loads(out)
    assert code == 0
    assert record["reference"] == "orders@1"
    assert record["version"] == 1
    assert record["digest"] == orders.version.digest
    assert record["repository"] == "acme/orders"
    assert record["url"] == f"{hub.url}/acme/orders"
    assert record["commit"] == hub.repositories["acme/orders"].head.sha
    assert record["created"] is True
    assert record["files"][0] == "README.md"
    assert hub.repositories["acme/orders"].private
    assert b"license: mit" in hub.repositories["acme/orders"].head.files["README.md"].data


def test_push_to_a_folder_does_not_ask_the_hub(hub: Hub, lorarack: Command, orders: Published, tmp_path: Path) -> None:
    where = tmp_path / "out"
    code, out, _ = lorarack("push", "orders", "acme/orders", "--folder", str(where), "--json")
    assert code == 0
    assert json.loads(out)["files"] == sorted(path.name for path in where.iterdir())
    assert "acme/orders" in (where / "README.md").read_text()
    code, out, _ = lorarack("push", "orders", "acme/orders", "--folder", str(tmp_path / "again"))
    assert "lorarack push orders acme/orders" in out
    code, _, err = lorarack("push", "orders", "acme/orders", "--folder", str(where))
    assert (code, "not an empty folder" in err) == (1, True)
    assert hub.log == []


def test_pull_says_what_it_is_and_how_to_serve_it(
    hub: Hub, lorarack: Command, registry: Registry, orders: Published
) -> None:
    push(registry, "orders", "acme/orders")
    code, out, _ = lorarack("pull", "acme/orders", "copy")
    assert code == 0
    assert "Pulled copy@1 (rank 4" in out
    assert "lorarack serve tiny" in out


def test_pull_in_json(hub: Hub, lorarack: Command, registry: Registry, orders: Published) -> None:
    commit = push(registry, "orders", "acme/orders").commit
    code, out, _ = lorarack("pull", f"acme/orders@{commit}", "--base", "tiny", "--json")
    record = json.loads(out)
    assert code == 0
    assert (record["name"], record["version"], record["created"]) == ("acme/orders", 1, True)
    assert (record["repository"], record["commit"]) == ("acme/orders", commit)
    assert record["digest"] == orders.version.digest


@pytest.mark.parametrize(
    ("argv", "code", "part"),
    [
        (("push", "nothing", "acme/orders"), 1, "no adapter"),
        (("push", "orders@9", "acme/orders"), 1, "orders"),
        (("push", "orders", "orders"), 2, "ORG/REPO"),
        (("push", "orders", "stranger/orders"), 1, "HF_TOKEN"),
        (("pull", "acme/nothing"), 1, "no repository"),
        (("pull", "nothing"), 2, "ORG/REPO"),
        (("pull", "acme/orders", "Bad Name"), 2, "cannot be a name"),
    ],
)
def test_errors_are_a_sentence_and_an_exit_code(
    hub: Hub, lorarack: Command, orders: Published, argv: tuple[str, ...], code: int, part: str
) -> None:
    found, out, err = lorarack(*argv)
    assert (found, out) == (code, "")
    assert part in err
    assert "Traceback" not in err
    found, out, err = lorarack(*argv, "--json")
    assert (found, out) == (code, "")
    assert part in json.loads(err.splitlines()[-1])["error"]["message"]


@pytest.mark.parametrize("command", ["push", "pull"])
def test_help_shows_an_example(lorarack: Command, command: str) -> None:
    code, out, _ = lorarack(command, "--help")
    assert code == 0
    assert f"Example: lorarack {command}" in out


def test_a_process_of_its_own_reads_the_same_environment(
    hub: Hub, home: Path, orders: Published, tmp_path: Path
) -> None:
    """Nothing here depends on settings of this process: address and token come from the environment, and offline is heeded."""
    settings = environment(hub, tmp_path / "hf", TOKEN)

    def run(*arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "lorarack.registry.cli.main", *arguments, "--registry", str(home)]
        return subprocess.run(command, env=settings | more, capture_output=True, text=True, timeout=120, check=False)

    pushed = run("push", "orders", "acme/orders")
    assert pushed.returncode == 0, pushed.stderr
    assert f"{hub.url}/acme/orders" in pushed.stdout
    pulled = run("pull", "acme/orders", "copy", "--json")
    assert pulled.returncode == 0, pulled.stderr
    assert json.loads(pulled.stdout)["digest"] == orders.version.digest
    offline = run("pull", "acme/orders", "copy", HF_HUB_OFFLINE="1")
    assert (offline.returncode, offline.stdout) == (1, "")
    assert "HF_HUB_OFFLINE is set" in offline.stderr
    assert TOKEN not in pushed.stdout + pushed.stderr + pulled.stderr + offline.stderr
