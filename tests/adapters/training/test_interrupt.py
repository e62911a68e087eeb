"""A run that is stopped leaves nothing."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lorarack.adapters.recipe import Recipe
from lorarack.registry import Registry


@pytest.mark.torch
@pytest.mark.timeout(120)
def test_ctrl_c_stops_at_once_and_leaves_nothing(
    tmp_path: Path, registry: Registry, recipe: Callable[..., Recipe]
) -> None:
    """No traceback, a failing exit code, nothing published, no file left in the folder for temporary files."""
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe(max_steps=1_000_000, eval_every=5, patience=None).to_yaml())
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    command = [
        sys.executable,
        "-m",
        "lorarack.registry.cli.main",
        "train",
        str(path),
        "--registry",
        str(Path(registry.location)),
    ]
    with subprocess.Popen(
        command, env={**os.environ, "TMPDIR": str(scratch)}, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        said = ""
        while "step 5/1000000" not in said:
            line = process.stderr.readline()
            assert line, said
            said += line
        process.send_signal(signal.SIGINT)
        said += process.stderr.read()
        assert process.wait(30) != 0
    assert "Traceback" not in said
    assert registry.adapters() == ()
    assert [entry.name for entry in scratch.iterdir() if entry.name.startswith("lorarack")] == []
