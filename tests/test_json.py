"""One dialect of JSON: every command has a schema in the docs, and prints what that says."""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator, ValidationError
from tests.command_line import lorarack
from tests.hub_stand_in.client import use_in_this_process
from tests.hub_stand_in.hub import Hub
from tests.hub_stand_in.server import running
from tests.json_schemas import hold, schemas
from tests.operations_called import calls_recorded, operations
from tests.registry.cli.test_help import commands
from tests.tiny import tiny_adapter, tiny_base
from typer.main import get_command

from lorarack.registry import Metric, Parent, open_registry
from lorarack.registry.cli.app import build_app

ALL = dict(commands(get_command(build_app())))
#: Held to their schemas where they are run: they need a trained model or a server.
ELSEWHERE = {
    "doctor",
    "train",
    "study",
    "resize",
    "merge",
    "scale",
    "compare",
    "demo run",
    "demo base",
    "ask",
    "top",
    "plan",
    "rehearse",
}
#: Speak no JSON: the one runs until it is stopped.
SILENT = {"serve"}

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


def test_every_command_has_a_schema_and_every_schema_a_command() -> None:
    assert {" ".join(path) for path in ALL} - SILENT == set(schemas()["commands"])


def test_the_schemas_are_schemas() -> None:
    for name, schema in schemas()["commands"].items():
        Draft202012Validator.check_schema(schema)
        with pytest.raises(ValidationError):
            hold(name, {"surprise": 1})


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A registry with two bases and three versions, and a Hub to push to."""
    home = tmp_path / "home"
    with open_registry(home) as registry:
        registry.add_base(str(tiny_base(tmp_path / "base")), "tiny")
        registry.add_base(str(tiny_base(tmp_path / "other", seed=7)), "other")
        loss = Metric(name="loss", split="validation", value=0.5, dataset="sha256:" + "1" * 64)
        for seed in (1, 2):
            better = loss.model_copy(update={"value": 0.5 / seed})
            registry.publish(tiny_adapter(tmp_path / f"in{seed}", seed=seed), "support", base="tiny", metrics=[better])
        parent = Parent(version="support@1", relation="resized")
        registry.publish(tiny_adapter(tmp_path / "in3", seed=3, rank=8), "child", base="tiny", parents=[parent])
    hub = Hub()
    hub.accounts = {"hf_token": "acme"}
    with running(hub), pytest.MonkeyPatch.context() as patched:
        use_in_this_process(hub, patched, tmp_path / "hf", "hf_token")
        patched.setenv("LORARACK_REGISTRY", str(home))
        yield home


#: Each command in an order in which all of them succeed; ``{}`` is a folder of the test's own.
RUNS: list[tuple[str, list[str]]] = [
    ("base add", ["{}/other", "--name", "other"]),
    ("base list", []),
    ("base link", ["other", "--original", "tiny", "--relation", "converted"]),
    ("publish", ["{}/in1", "again", "--base", "tiny", "--metric", "eval_loss=0.5", "--tag", "a=b"]),
    ("list", []),
    ("list", ["support"]),
    ("show", ["support@1"]),
    ("tag", ["support@1", "a=b"]),
    ("search", ["--rank", "4..8"]),
    ("search", ["--limit", "1"]),
    ("best", ["support", "--metric", "eval_loss"]),
    ("diff", ["support@1", "support@2"]),
    ("lineage", ["child@1"]),
    ("lineage", ["support@1"]),
    ("alias set", ["support@prod", "1", "--reason", "first"]),
    ("promote", ["support@2", "prod", "--require", "eval_loss"]),
    ("rollback", ["support@prod"]),
    ("experiment start", ["support@prod", "--arm", "1=90", "--arm", "2=10", "--guard", "error_rate<0.02"]),
    ("experiment list", []),
    ("experiment adjust", ["support@prod", "--arm", "1=50", "--arm", "2=50"]),
    ("experiment status", ["support@prod"]),
    ("experiment answers", ["support@prod"]),
    ("experiment stop", ["support@prod", "--reason", "enough"]),
    ("experiment start", ["support@prod", "--arm", "1=90", "--arm", "1=10", "--dry-run"]),
    ("experiment start", ["support@prod", "--arm", "1=90", "--arm", "1=10"]),
    ("experiment promote", ["support@prod", "1b", "--force"]),
    ("alias list", []),
    ("alias history", ["support@prod"]),
    ("fetch", ["support@1", "{}/fetched"]),
    ("verify", ["support@1"]),
    ("verify", ["--all"]),
    ("archive", ["support@2", "--reason", "old"]),
    ("restore", ["support@2"]),
    ("quarantine", ["support@2", "--reason", "bad"]),
    ("publish", ["{}/in3", "support", "--base", "tiny"]),
    ("delete", ["support@3"]),
    ("events", []),
    ("retention", ["support", "--keep-last", "1"]),
    ("key add", ["web-shop", "--adapters", "support", "--expires", "90d"]),
    ("key add", ["ops", "--scope", "admin", "--scope", "metrics"]),
    ("key revoke", ["web-shop"]),
    ("key list", []),
    ("gc", ["--dry-run"]),
    ("gc", []),
    ("export", ["support", "{}/export"]),
    ("import", ["{}/export"]),
    ("push", ["support@1", "acme/support", "--folder", "{}/as-pushed"]),
    ("push", ["support@1", "acme/support"]),
    ("pull", ["acme/support", "pulled", "--base", "tiny"]),
]  # fmt: skip


#: The command that people use for each operation.
COMMAND_OF: dict[str, str] = {
    "add_base": "base add",
    "bases": "base list",
    "link_base": "base link",
    "publish": "publish",
    "resolve": "show",
    "serving_defaults": "show",
    "serving_record": "show",
    "versions": "list",
    "adapters": "list",
    "describe": "tag",
    "search": "search",
    "best": "best",
    "diff": "diff",
    "lineage": "lineage",
    "set_alias": "alias set",
    "aliases": "alias list",
    "alias_history": "alias history",
    "promote": "promote",
    "rollback": "rollback",
    "fetch": "fetch",
    "verify": "verify",
    "archive": "archive",
    "quarantine": "quarantine",
    "restore": "restore",
    "delete": "delete",
    "events": "events",
    "set_retention": "retention",
    "retention": "retention",
    "gc": "gc",
    "export_to": "export",
    "import_from": "import",
    "keys.add": "key add",
    "keys.list": "key list",
    "keys.revoke": "key revoke",
}
#: Operations without a command of their own, and who calls them.
WITHOUT_COMMAND = {
    "base": "push and pull, for the base of one version",
    "check_adapter": "training, before its work",
    "check_base": "serve and train, before they load it",
    "originals": "serve, whose adapters a copy of a base serves",
    "add_metrics": "compare, which measures",
    "lease": "servers, which hold what they have loaded",
    "release": "likewise",
    "chat_template": "servers, which render with it",
    "keep_serving_record": "servers, which load it",
    "get_version": "programs that look after versions in any state",
    "last_event_id": "servers, which follow the registry",
    "snapshot": "servers, which resolve",
    "close": "every command",
}


def test_every_command_prints_what_its_schema_says_and_every_operation_has_its_command(
    home: Path, tmp_path: Path
) -> None:
    """Also that all of them are among those that are run, and that each operation is called by the command named for it."""
    registry = type(open_registry(home))
    calls: dict[str, set[str]] = defaultdict(set)
    for command, arguments in RUNS:
        with calls_recorded(registry) as called:
            answer = lorarack(*command.split(), *(text.replace("{}", str(tmp_path)) for text in arguments), "--json")
        assert answer.code == 0, (command, answer)
        hold(command, answer.json())
        calls[command] |= called
    assert set(calls) == set(schemas()["commands"]) - ELSEWHERE
    assert {name: command for name, command in COMMAND_OF.items() if name not in calls[command]} == {}
    assert operations(registry) == set(COMMAND_OF) | set(WITHOUT_COMMAND)


@pytest.mark.parametrize(
    "arguments", [["show", "nobody@1"], ["fetch", "nobody"], ["publish", "/nowhere", "a", "--base", "x"]]
)
def test_an_error_is_one_object_on_stderr(arguments: list[str], home: Path) -> None:
    answer = lorarack(*arguments, *(["out"] if arguments[0] == "fetch" else []), "--json")
    assert answer.code == 1
    assert answer.out == ""
    assert set(json.loads(answer.err)["error"]) == {"code", "message"}
