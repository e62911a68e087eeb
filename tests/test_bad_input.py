"""Every kind of bad input, tried as a user would: one clear sentence, the right exit code, and nothing written.

To add one, append a ``Case`` to a list in ``tests/bad_input/``, or a list to ``CASES``.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.bad_input import adapters, experiments, finding, hub, keeping, portability, registry, server
from tests.bad_input.world import Case, World, make_world
from tests.command_line import lorarack
from tests.hub_stand_in.hub import Hub
from tests.hub_stand_in.server import running

CASES = [
    *registry.CASES,
    *portability.CASES,
    *keeping.CASES,
    *experiments.CASES,
    *finding.CASES,
    *hub.CASES,
    *adapters.CASES,
    *server.CASES,
]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    make_world(root)
    return root


@pytest.fixture(scope="module")
def hub_server() -> Iterator[Hub]:
    from huggingface_hub import close_session

    with running(Hub()) as started:
        yield started
        close_session()


@pytest.fixture
def world(template: Path, hub_server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    hub.set_up(hub_server, tmp_path / "hub", monkeypatch)
    shutil.copytree(template, tmp_path / "world", symlinks=True)
    monkeypatch.setenv("LORARACK_REGISTRY", str(tmp_path / "world" / "home"))
    monkeypatch.setenv("LORARACK_HOME", str(tmp_path / "world" / "home"))
    monkeypatch.chdir(tmp_path / "world")
    return World(tmp_path / "world")


def tree(root: Path) -> dict[str, str]:
    """Everything below ``root``, by its bytes. SQLite's side files and the memory of hashed weights do not count."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in root.rglob("*")
        if not path.name.endswith(("-wal", "-shm")) and "cache" not in path.relative_to(root).parts
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_bad_input_gets_one_clear_sentence_and_changes_nothing(case: Case, world: World) -> None:
    case.prepare(world)
    before = tree(world.root)
    arguments = case.command(world)

    answer = lorarack(*arguments)
    assert (answer.code, answer.out) == (case.code, ""), answer
    assert answer.err.startswith("error: ")
    assert case.said in answer.err
    assert "Traceback" not in answer.err
    assert tree(world.root) == before

    as_json = lorarack(*arguments, "--json")
    assert (as_json.code, as_json.out) == (case.code, "")
    error = json.loads(as_json.err)["error"]
    assert error["code"]
    assert answer.err == f"error: {error['message']}\n"
    assert tree(world.root) == before


def test_the_cases_have_names_of_their_own() -> None:
    assert len({case.id for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", [case for case in registry.PUBLISH if case.code == 1][:3], ids=lambda case: case.id)
def test_after_bad_input_good_input_works(case: Case, world: World) -> None:
    """Nothing half-done stands in the way."""
    lorarack(*case.command(world))
    made = lorarack("publish", world.root / "published", "support", "--base", "tiny", "--json").json()
    assert (made["version"], made["created"]) == (1, False)
