"""How LoRA is computed on a CPU: as the user options, as far as the machine allows; otherwise slower, right, and said."""

from pathlib import Path
from typing import Any

import pytest
from tests.command_line import lorarack
from tests.server.cpu.compilers import FAILS, HANGS, WORKS, calls, compiler
from tests.server.plans import CPU
from tests.tiny import tiny_base

from lorarack.registry.errors import EngineError
from lorarack.server import ServeOptions, launch, user_cache
from lorarack.server.cpu import kernel_build
from lorarack.server.cpu.backend import Backend, choose_backend, compile_kernel, find_kernel, needs_compile
from lorarack.server.cpu.kernel_build import is_intact
from lorarack.server.settings import CpuLora


def prepare(cache: Path) -> Backend:
    """As a start does on a machine with a kernel in ``cache``."""
    return compile_kernel(choose_backend(CpuLora.KERNEL, CPU, find_kernel(cache)))


def test_a_kernel_is_compiled_at_the_first_start_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = compiler(tmp_path / "bin", WORKS)
    monkeypatch.setenv("PATH", str(folder))
    planned = choose_backend(CpuLora.KERNEL, CPU, find_kernel(tmp_path))
    assert needs_compile(planned)
    made = compile_kernel(planned)
    assert made.kernel is not None
    assert is_intact(made.kernel)
    assert made.kernel.parent == tmp_path / "kernels"
    assert not needs_compile(planned)
    assert prepare(tmp_path) == made == Backend(CpuLora.KERNEL, made.kernel)
    assert calls(folder) == 1


def test_a_damaged_kernel_is_compiled_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that loads it would stop, or worse."""
    folder = compiler(tmp_path / "bin", WORKS)
    monkeypatch.setenv("PATH", str(folder))
    made = prepare(tmp_path)
    assert made.kernel is not None
    made.kernel.write_text("half a ker")
    assert prepare(tmp_path) == made
    assert is_intact(made.kernel)
    assert calls(folder) == 2


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_a_kernel_that_others_may_write_is_compiled_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    """Whole or not: it would run in the server."""
    folder = compiler(tmp_path / "bin", WORKS)
    monkeypatch.setenv("PATH", str(folder))
    made = prepare(tmp_path)
    assert made.kernel is not None
    made.kernel.chmod(mode)
    monkeypatch.setattr(user_cache, "_own_group", lambda _: False)
    assert prepare(tmp_path) == made
    assert made.kernel.stat().st_mode & 0o022 == 0
    assert calls(folder) == 2


@pytest.mark.parametrize(
    ("does", "said"),
    [(None, "there is no g++"), (FAILS, "error: what is this"), (HANGS, "did not run")],
    ids=["none", "fails", "hangs"],
)
def test_without_a_kernel_torch_computes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str | None, said: str
) -> None:
    """No compiler, one that fails, one that hangs: the server starts, slower, and says why in one line."""
    monkeypatch.setattr(kernel_build, "_SECONDS", 0.5)
    (tmp_path / "bin").mkdir()
    if does:
        compiler(tmp_path / "bin", does)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    made = prepare(tmp_path / "cache")
    assert (made.choice, made.kernel) == (CpuLora.TORCH, None)
    assert made.note is not None
    assert made.note.startswith("No LoRA kernel: ")
    assert said in made.note
    assert "several times slower" in made.note


def test_a_cache_that_cannot_be_written_is_no_reason_to_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(compiler(tmp_path / "bin", WORKS)))
    (tmp_path / "file").touch()
    made = prepare(tmp_path / "file" / "cache")
    assert made.choice is CpuLora.TORCH
    assert "cannot be used" in (made.note or "")


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

    def serve(registry: Any, base: Any, options: ServeOptions) -> None:
        seen.extend([list(options.flags), options.cpu_lora])
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
