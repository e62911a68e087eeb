"""How LoRA is computed on a CPU: as the user wishes, as far as the machine allows; otherwise slower, right, and said."""

from pathlib import Path
from typing import Any

import pytest
from tests.command_line import lorarack
from tests.server.compilers import FAILS, HANGS, WORKS, calls, compiler
from tests.tiny import tiny_base

from lorarack.registry.errors import EngineError
from lorarack.server import cpu_choice, launch
from lorarack.server.cpu_choice import prepare
from lorarack.server.cpu_lora import building
from lorarack.server.cpu_lora.building import is_whole
from lorarack.server.settings import CpuLora


@pytest.fixture(autouse=True)
def proven(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with the vLLM that the tests ran with, also where none is installed."""
    monkeypatch.setattr(cpu_choice, "installed_vllm", lambda: "0.32.0")


def test_a_kernel_is_compiled_at_the_first_start_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which says why it takes longer."""
    folder = compiler(tmp_path / "bin", WORKS)
    monkeypatch.setenv("PATH", str(folder))
    choice, path = prepare(CpuLora.KERNEL, tmp_path / "cache")
    assert choice is CpuLora.KERNEL
    assert path is not None
    assert is_whole(path)
    assert "Compiling the LoRA kernel" in capsys.readouterr().err
    assert prepare(CpuLora.KERNEL, tmp_path / "cache") == (choice, path)
    assert capsys.readouterr().err == ""
    assert calls(folder) == 1


def test_a_damaged_kernel_is_compiled_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that loads it would stop, or worse."""
    folder = compiler(tmp_path / "bin", WORKS)
    monkeypatch.setenv("PATH", str(folder))
    _, path = prepare(CpuLora.KERNEL, tmp_path / "cache")
    assert path is not None
    path.write_text("half a ker")
    assert prepare(CpuLora.KERNEL, tmp_path / "cache") == (CpuLora.KERNEL, path)
    assert is_whole(path)
    assert calls(folder) == 2


@pytest.mark.parametrize(
    ("does", "said"),
    [(None, "there is no g++"), (FAILS, "error: what is this"), (HANGS, "did not run")],
    ids=["none", "fails", "hangs"],
)
def test_without_a_kernel_torch_computes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    does: str | None,
    said: str,
) -> None:
    """No compiler, one that fails, one that hangs: the server starts, slower, and says why in one line."""
    monkeypatch.setattr(building, "_SECONDS", 0.5)
    (tmp_path / "bin").mkdir()
    if does:
        compiler(tmp_path / "bin", does)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert prepare(CpuLora.KERNEL, tmp_path / "cache") == (CpuLora.TORCH, None)
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "Compiling" not in line]
    assert line.startswith("No LoRA kernel: ")
    assert said in line
    assert "several times slower" in line


def test_a_cache_that_cannot_be_written_is_no_reason_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(compiler(tmp_path / "bin", WORKS)))
    (tmp_path / "file").touch()
    assert prepare(CpuLora.KERNEL, tmp_path / "file" / "cache") == (CpuLora.TORCH, None)
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("found", ["0.32.1", "0.33.0", None])
@pytest.mark.parametrize("wish", [CpuLora.KERNEL, CpuLora.TORCH])
def test_with_a_vllm_that_nobody_tried_it_steps_aside(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    found: str | None,
    wish: CpuLora,
) -> None:
    """In one line, and without compiling."""
    folder = compiler(tmp_path / "bin", WORKS)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(cpu_choice, "installed_vllm", lambda: found)
    assert prepare(wish, tmp_path / "cache") == (CpuLora.OFF, None)
    (line,) = capsys.readouterr().err.splitlines()
    assert str(found) in line
    assert "0.32.0" in line
    assert calls(folder) == 0


@pytest.mark.parametrize(
    ("wish", "found"), [(CpuLora.TORCH, "0.32.0"), (CpuLora.OFF, "0.32.0"), (CpuLora.OFF, "0.33.0")]
)
def test_who_wants_no_kernel_gets_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], wish: CpuLora, found: str
) -> None:
    """And `off` is off everywhere, in silence."""
    folder = compiler(tmp_path / "bin", WORKS)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(cpu_choice, "installed_vllm", lambda: found)
    assert prepare(wish, tmp_path / "cache") == (wish, None)
    assert capsys.readouterr().err == ""
    assert calls(folder) == 0


@pytest.mark.parametrize(
    ("flags", "wish"),
    [
        ([], CpuLora.KERNEL),
        (["--cpu-lora", "kernel"], CpuLora.KERNEL),
        (["--cpu-lora", "torch"], CpuLora.TORCH),
        (["--cpu-lora=off"], CpuLora.OFF),
    ],
)
def test_the_flag_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str], wish: CpuLora) -> None:
    """It is ours: vLLM does not get to see it."""
    seen: list[Any] = []

    def serve(registry: Any, base: Any, host: Any, port: Any, rest: Any, cpu_lora: CpuLora) -> None:
        seen.extend([list(rest), cpu_lora])
        raise EngineError("far enough.")

    monkeypatch.setattr(launch, "serve", serve)
    home = tmp_path / "home"
    lorarack("base", "add", tiny_base(tmp_path / "base"), "--name", "tiny", "--registry", home)
    answer = lorarack("serve", "tiny", "--registry", home, *flags, "--max-loras", "3")
    assert "far enough" in answer.err
    assert seen == [["--max-loras", "3"], wish]


def test_another_word_is_refused(tmp_path: Path) -> None:
    answer = lorarack("serve", "tiny", "--registry", tmp_path, "--cpu-lora", "fast")
    assert answer.code == 2
    assert all(word in answer.err for word in ("kernel", "torch", "off"))
