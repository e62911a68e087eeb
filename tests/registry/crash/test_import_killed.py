"""An import that is killed at any step has brought in everything or nothing, and the next one is as if it had never been."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from tests.registry.shelf import Shelf
from tests.tiny import tiny_adapter

from lorarack.registry import Metric, Parent, open_registry

ROOT = Path(__file__).parents[3]


@pytest.fixture
def export(home_template: Path, tmp_path: Path) -> Path:
    """Three versions of two adapters, with what belongs to them."""
    with open_registry(shutil.copytree(home_template, tmp_path / "from")) as registry:
        shelf = Shelf(registry, tmp_path)
        for rank in (4, 8):
            shelf.put(rank=rank, loss=0.5, tags={"team": "shop"}, description="Größe")
        folder = tiny_adapter(tmp_path / "child", seed=99)
        (folder / "chat_template.jinja").write_text("{{ messages }}")
        points = [Metric(name="loss", split="validation", value=0.5 + step, step=step) for step in range(3)]
        registry.publish(
            folder,
            "acme/orders",
            base="tiny",
            metrics=points,
            parents=[Parent(version="support@2", relation="resized")],
        )
        registry.set_alias("support", "prod", 1)
        registry.archive("support@2")
        registry.export_to(tmp_path / "export")
    return tmp_path / "export"


@pytest.mark.system
def test_imports_killed_at_each_step_leave_all_or_nothing(home: Path, export: Path, tmp_path: Path) -> None:
    """Before every touch of a file, every fsync, every statement and every commit."""
    memory = Path("/dev/shm")  # a kill is no power cut: what a disk would take for each fsync is time for nothing
    with TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as scratch:
        command = [sys.executable, "-m", "tests.registry.crash.imports", str(home), str(export), scratch]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["errors"] == []
    found = answer["found"]
    assert len(found) > 100, "the last one is not killed"
    assert {each["at_once"] for each in found[:-1]} == {0}, "a kill comes before its step, so also before the commit"
    assert found[-1]["at_once"] == 3
    assert {(each["in_the_end"], each["stray"]) for each in found} == {(3, 0)}
