"""The built wheel, installed alone: a registry and its client, without torch, with everything it needs inside."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from configparser import ConfigParser
from email import message_from_string
from pathlib import Path

import pytest
from tests.tiny import tiny_adapter, tiny_base

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]
COMPONENTS = ("registry", "server", "adapters", "demo")


def run(*command: object, **environment: str) -> str:
    """Run a command away from the checkout, so that nothing of it can be imported by chance; returns its output."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(
        [str(part) for part in command],
        cwd="/",
        env=clean | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def contents(wheel: Path) -> Mapping[str, str]:
    """Every file of the wheel; those of its metadata with their text."""
    with zipfile.ZipFile(wheel) as archive:
        return {
            name: archive.read(name).decode() if ".dist-info/" in name else ""
            for name in archive.namelist()
            if not name.endswith("/")
        }


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a fresh virtual environment that holds the wheel and what it asks for, no extras."""
    place = tmp_path_factory.mktemp("bare") / "venv"
    environment = {}
    if (links := os.environ.get("PIP_FIND_LINKS")) and "UV_FIND_LINKS" not in os.environ:
        environment["UV_FIND_LINKS"] = links.replace(" ", ",")  # uv does not read pip's variable
    uv = Path(sys.executable).parent / "uv"
    run(uv, "venv", "--quiet", "--python", sys.executable, place, **environment)
    python = place / "bin" / "python"
    run(
        uv,
        "pip",
        "install",
        "--quiet",
        "--python",
        python,
        "--constraint",
        ROOT / "constraints.txt",
        wheel,
        **environment,
    )
    return place / "bin"


def test_every_file_of_the_components_is_in_the_wheel(contents: Mapping[str, str]) -> None:
    """Code, migrations, shipped data and the marks of typed packages; nothing else."""
    listed = subprocess.run(
        ["git", "ls-files", *COMPONENTS], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    tracked = {name.partition("/")[2] for name in listed.splitlines() if (ROOT / name).is_file()}
    shipped = {name for name in contents if ".dist-info/" not in name}
    assert tracked <= shipped
    assert all(name.startswith("lorarack/") for name in shipped)
    assert "lorarack/__init__.py" not in shipped
    for component in COMPONENTS:
        assert f"lorarack/{component}/py.typed" in shipped
    assert any(name.endswith(".jsonl") for name in shipped), "the demo's rows"


def test_the_metadata_says_what_is_needed(contents: Mapping[str, str]) -> None:
    text = next(text for name, text in contents.items() if name.endswith("/METADATA"))
    metadata = message_from_string(text)
    assert metadata["License-Expression"] == "Apache-2.0"
    always = [need for need in metadata.get_all("Requires-Dist", []) if "extra ==" not in need]
    assert always
    assert not [need for need in always if need.startswith(("torch", "vllm", "transformers", "peft"))]
    assert set(metadata.get_all("Provides-Extra", [])) == {"compare", "cpu", "gpu", "object-store", "postgres", "train"}


def test_the_entry_points_are_all_there(contents: Mapping[str, str]) -> None:
    points = ConfigParser()
    points.read_string(next(text for name, text in contents.items() if name.endswith("/entry_points.txt")))
    assert dict(points["console_scripts"]) == {"lorarack": "lorarack.registry.cli.main:main"}
    assert set(points["lorarack.commands"]) == {"adapters", "demo", "server"}
    assert set(points["vllm.general_plugins"]) == {"lorarack"}
    assert set(points["vllm.endpoint_plugins"]) == {"lorarack_http"}


def test_the_command_answers_without_torch(bare: Path, tmp_path: Path) -> None:
    home = {"LORARACK_HOME": str(tmp_path / "home")}
    shown = run(bare / "lorarack", "--help", **home)
    for command in ("publish", "list", "train", "serve", "demo", "compare", "push"):
        assert command in shown
        assert "Usage" in run(bare / "lorarack", command, "--help", **home)
    assert "No adapters" in run(bare / "lorarack", "list", **home)
    assert "[]" in run(bare / "lorarack", "list", "--json", **home)
    assert "lorarack 0." in run(bare / "lorarack", "--version", **home)


def test_the_registry_imports_without_torch(bare: Path) -> None:
    run(bare / "python", "-c", "import lorarack.registry, sys; assert 'torch' not in sys.modules")
    missing = (
        "from importlib.util import find_spec\n"
        "print([name for name in ('torch', 'vllm', 'transformers', 'peft', 'safetensors') if find_spec(name)])"
    )
    assert run(bare / "python", "-c", missing).strip() == "[]"


def test_a_whole_life_of_a_version_needs_no_torch(bare: Path, tmp_path: Path) -> None:
    """Add a base, publish, move an alias, fetch, delete: with the wheel alone."""
    base, adapter, other = (
        tiny_base(tmp_path / "base"),
        tiny_adapter(tmp_path / "a"),
        tiny_adapter(tmp_path / "b", seed=1),
    )
    home = {"LORARACK_HOME": str(tmp_path / "home")}
    for arguments in (
        ("base", "add", base, "--name", "tiny"),
        ("publish", adapter, "support", "--base", "tiny", "--metric", "eval_loss=0.5"),
        ("publish", other, "support", "--base", "tiny"),
        ("alias", "set", "support@default", "2"),
        ("fetch", "support", tmp_path / "out"),
        ("delete", "support@1"),
    ):
        run(bare / "lorarack", *arguments, **home)
    assert (tmp_path / "out" / "adapter_model.safetensors").read_bytes() == (
        other / "adapter_model.safetensors"
    ).read_bytes()
