"""A rehearsal on the session's server: what aliases name is loaded there and held to its training, from a copy of the registry."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.command_line import lorarack
from tests.json_schemas import hold
from tests.system.server import KEY, Server
from tests.system.session_server import BASE
from tests.system.test_parity import said_by

from lorarack.registry import open_registry
from lorarack.registry.values import Provenance

pytestmark = [pytest.mark.system, pytest.mark.torch]


def test_each_aliased_version_gets_its_verdict(
    server: Server,
    adapters: dict[str, Path],
    reference: Any,
    small_base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    right = Provenance(reference=said_by(reference, "rslora@1"))
    wrong = Provenance(reference=said_by(reference, "plain@1"))
    for name, folder, kept in (
        ("rehearsed", adapters["rslora@1"], right),
        ("rehearsed-bare", adapters["rslora@1"], None),
        ("rehearsed-wrong", adapters["rslora@1"], wrong),
    ):
        server.registry.publish(folder, name, base=BASE, provenance=kept)
    server.registry.export_to(tmp_path / "export", "rehearsed", "rehearsed-bare", "rehearsed-wrong")
    monkeypatch.setenv("LORARACK_TOKEN", KEY)
    with open_registry(tmp_path / "copy") as copy:
        copy.add_base(str(small_base), BASE)
        copy.import_from(tmp_path / "export")
        copy.set_alias("rehearsed", "prod", 1)
        answer = lorarack("rehearse", server.url, "--registry", copy.location, "--json")
        assert answer.code == 3, answer.err
        found = json.loads(answer.out)
        hold("rehearse", found)
        assert (found["base"], found["dtype"], found["passed"]) == (BASE, "float32", False)
        rows = {row["reference"]: row for row in found["versions"]}
        assert {name: row["verdict"] for name, row in rows.items()} == {
            "rehearsed@1": "same", "rehearsed-bare@1": "unproven", "rehearsed-wrong@1": "failed",
        }  # fmt: skip
        assert rows["rehearsed@1"]["aliases"] == ["default", "prod"]
        assert rows["rehearsed@1"]["parity"]["state"] == "same"
        assert rows["rehearsed-bare@1"]["effect"] > 0.1
        assert "is not what was trained" in rows["rehearsed-wrong@1"]["reason"], "the server itself refuses it"
        shown = lorarack("rehearse", server.url, "--registry", copy.location)
        assert shown.code == 3
        assert "unproven" in shown.out
        monkeypatch.setenv("LORARACK_TOKEN", "wrong")
        assert lorarack("rehearse", server.url, "--registry", copy.location).code == 1
