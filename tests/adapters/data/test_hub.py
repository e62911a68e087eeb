"""A data set on the Hub, through the real ``datasets`` in a process of its own, against the stand-in."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.hub_stand_in.client import environment
from tests.hub_stand_in.hub import Hub
from tests.hub_stand_in.server import running

pytestmark = pytest.mark.torch  # `datasets` takes seconds to import

SCRIPT = """
import json, sys
from lorarack.adapters.data import ReadOptions, read_rows
from lorarack.adapters.data.source import has_split
from lorarack.registry.errors import LorarackError
said = []
for source, options in json.loads(sys.argv[1]):
    try:
        options = ReadOptions(**options)
        rows = read_rows(source, options)
        said.append([rows.name, [row.completion for row in rows], rows.commit, list(rows.notes), rows.described])
    except LorarackError as error:
        said.append([type(error).__name__, error.message])
print(json.dumps(said))
"""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with running(Hub()) as started:
        yield started


@pytest.fixture
def read(hub: Hub, tmp_path: Path) -> Callable[..., list[Any]]:
    def ask(*asked: tuple[str, dict[str, object]]) -> list[Any]:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, json.dumps(asked)],
            env=environment(hub, tmp_path / "hf", None),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return ask


def test_a_data_set_at_its_commit(hub: Hub, read: Callable[..., list[Any]], tmp_path: Path) -> None:
    """Splits by their names; the commit is named and pins the rows; the cells of a CSV stay texts; errors are sentences."""
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "train.jsonl").write_text('{"prompt": "a", "completion": "b"}\n')
    (folder / "test.jsonl").write_text('{"prompt": "c", "completion": "d"}\n')
    first = hub.seed("datasets/acme/pairs", folder).commits[-1].sha
    (folder / "train.jsonl").write_text('{"prompt": "a", "completion": "B"}\n')
    files = {"train.jsonl": (folder / "train.jsonl").read_bytes()}
    newest = hub.repositories["datasets/acme/pairs"].commit(files, "Change", "", "main").sha
    csv = tmp_path / "csv"
    csv.mkdir()
    (csv / "rows.csv").write_text("prompt,completion\na,NA\nb,007\n")
    hub.seed("datasets/acme/cells", csv)
    script = tmp_path / "script"
    script.mkdir()
    (script / "code.py").write_text("raise SystemExit('run')\n")
    hub.seed("datasets/acme/code", script)

    now, pinned, test, cells, none, code, absent = read(
        ("acme/pairs", {}),
        ("acme/pairs", {"revision": first}),
        ("hf://datasets/acme/pairs", {"role": "test"}),
        ("acme/cells", {}),
        ("acme/pairs", {"role": "validation"}),
        ("acme/code", {}),
        ("acme/nothing", {}),
    )
    assert now[:3] == ["acme/pairs (train)", ["B"], newest]
    assert now[3] == [f"acme/pairs: train rows of commit {newest[:12]}; 'revision: {newest}' under data pins it."]
    assert pinned[1:4] == [["b"], first, [f"acme/pairs: train rows of commit {first[:12]}."]]
    assert test[1] == ["d"]
    assert cells[1] == ["NA", "007"]
    assert none[0] == "NotFound"
    assert "it has train, test" in none[1]
    assert code[0] == "UsageError"
    assert "acme/code" in code[1], code
    assert absent[0] == "NotFound"
