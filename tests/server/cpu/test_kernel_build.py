"""A kernel is compiled once, and is whole where it lies or not there at all."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.server.cpu.compilers import DIES, FAILS, HANGS, LOSES, SHELL, SLEEP, WORKS, calls, compiler

from lorarack.registry.errors import EngineError
from lorarack.server.cpu import kernel_build
from lorarack.server.cpu.kernel_build import build_kernel, is_intact, kernel_path


def use(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("PATH", str(folder))


def test_a_kernel_is_whole_and_alone_where_it_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, compiler(tmp_path / "bin", WORKS))
    path = kernel_path(tmp_path / "new" / "cache")
    assert not path.parent.exists()
    build_kernel(path)
    assert list(path.parent.iterdir()) == [path]
    assert path.read_bytes().startswith(b"a whole kernel")
    assert is_intact(path)


@pytest.mark.parametrize(
    ("does", "said"),
    [
        (FAILS, "g\\+\\+ could not compile the kernel: library.cpp:1:1: error: what is this$"),
        (DIES, "could not compile"),
        (HANGS, "did not run.*timed out"),
        (LOSES, "did not run"),
    ],
    ids=["fails", "dies", "hangs", "loses"],
)
def test_nothing_stays_of_a_kernel_that_was_not_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str, said: str
) -> None:
    """A compiler that fails, dies half way, never ends, or leaves nothing; what was there before is still there."""
    use(monkeypatch, compiler(tmp_path / "bin", does))
    monkeypatch.setattr(kernel_build, "_SECONDS", 0.5)
    path = kernel_path(tmp_path / "cache")
    for before in ([], [(path.name, "the old kernel")]):
        for name, text in before:
            (path.parent / name).write_text(text)
        with pytest.raises(EngineError, match=said) as refused:
            build_kernel(path)
        assert "\n" not in refused.value.message
        assert [(file.name, file.read_text()) for file in path.parent.iterdir()] == before


def test_a_builder_that_is_killed_leaves_nothing_that_is_taken_for_a_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a kernel lies under another name, and the next server compiles its own."""
    use(monkeypatch, compiler(tmp_path / "bin", HANGS))
    path = kernel_path(tmp_path / "cache")
    module = kernel_build.__name__
    script = f"import sys, pathlib, {module} as kernel_build; kernel_build.build_kernel(pathlib.Path(sys.argv[1]))"
    builder = subprocess.Popen([sys.executable, "-c", script, str(path)], start_new_session=True)
    deadline = time.monotonic() + 30
    while not any(file.stat().st_size for file in tmp_path.glob("cache/*")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(builder.pid, 9)
    builder.wait()
    assert not path.exists()
    use(monkeypatch, compiler(tmp_path / "bin", WORKS))
    build_kernel(path)
    assert is_intact(path)


def test_of_several_processes_one_compiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers that start together in a new home: the others wait, and use what the first one made."""
    folder = compiler(tmp_path / "bin", f"{SLEEP} 1\n{WORKS}")
    use(monkeypatch, folder)
    path = kernel_path(tmp_path / "cache")
    module = kernel_build.__name__
    script = f"import sys, pathlib, {module} as kernel_build; kernel_build.build_kernel(pathlib.Path(sys.argv[1]))"
    builders = [subprocess.Popen([sys.executable, "-c", script, str(path)]) for _ in range(4)]
    assert [builder.wait(60) for builder in builders] == [0] * 4
    assert calls(folder) == 1
    assert list(path.parent.iterdir()) == [path]
    assert is_intact(path)


@pytest.mark.parametrize("damage", [b"", b"a whole kernel", b"x"], ids=["emptied", "cut", "changed"])
def test_a_damaged_kernel_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: bytes) -> None:
    use(monkeypatch, compiler(tmp_path / "bin", WORKS))
    path = kernel_path(tmp_path / "cache")
    assert not is_intact(path)
    build_kernel(path)
    path.write_bytes(damage + path.read_bytes()[1:] if damage == b"x" else damage)
    assert not is_intact(path)


def test_what_a_killed_builder_left_goes_with_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at once: it may be another builder's, at work now."""
    use(monkeypatch, compiler(tmp_path / "bin", WORKS))
    path = kernel_path(tmp_path / "cache")
    path.parent.mkdir()
    old, new = path.parent / "old.so.part", path.parent / "new.so.part"
    for file in (old, new):
        file.touch()
    os.utime(old, (0, 0))
    build_kernel(path)
    assert sorted(path.parent.iterdir()) == sorted([path, new])


def test_without_a_compiler_a_kernel_that_is_there_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in an image that was built with one. A damaged one does not, nor another processor's."""
    use(monkeypatch, compiler(tmp_path / "bin", WORKS))
    path = kernel_path(tmp_path / "cache")
    build_kernel(path)
    use(monkeypatch, tmp_path / "nothing")
    assert kernel_path(tmp_path / "cache") == path
    (path.parent / path.name.replace("13.2.0", "9.9.9")).write_text("damaged, and sorts last")
    assert kernel_path(tmp_path / "cache") == path
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(EngineError, match="no g\\+\\+"):
        kernel_path(tmp_path / "cache")


def test_a_cache_that_cannot_be_written_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = compiler(tmp_path / "bin", WORKS)
    use(monkeypatch, folder)
    (tmp_path / "file").touch()
    with pytest.raises(EngineError, match="cannot be used"):
        build_kernel(kernel_path(tmp_path / "file" / "cache"))
    assert calls(folder) == 0


def test_the_path_follows_everything_that_the_kernel_depends_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same while nothing changes; another for another compiler, processor, flag, torch, or source."""
    use(monkeypatch, compiler(tmp_path / "bin", WORKS))
    paths = [kernel_path(tmp_path)]
    assert kernel_path(tmp_path) == paths[0]

    use(monkeypatch, compiler(tmp_path / "other", WORKS, version="14.1.0"))
    paths.append(kernel_path(tmp_path))
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    paths.append(kernel_path(tmp_path))
    monkeypatch.setattr(kernel_build, "_FLAGS", (*kernel_build._FLAGS, "-g"))
    paths.append(kernel_path(tmp_path))
    monkeypatch.setattr(kernel_build, "version", lambda _: "99.0")
    paths.append(kernel_path(tmp_path))
    sources = tmp_path / "sources"
    shutil.copytree(kernel_build._SOURCES, sources)
    monkeypatch.setattr(kernel_build, "_SOURCES", sources)
    assert kernel_path(tmp_path) == paths[-1]
    for file in sorted(sources.iterdir()):
        file.write_text(file.read_text() + "// changed\n")
        paths.append(kernel_path(tmp_path))
    assert len(paths) == len(set(paths)) == 5 + len(list(sources.iterdir()))


def test_all_sources_are_packaged_beside_the_code() -> None:
    """Everything that a source includes by name is one of them."""
    names = {path.name for path in kernel_build._sources()}
    included = {
        line.split('"')[1]
        for path in kernel_build._sources()
        for line in path.read_text().splitlines()
        if line.startswith('#include "')
    }
    assert included
    assert included < names


@pytest.mark.parametrize("does", [None, "exit 1"])
def test_without_a_compiler_there_is_no_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str | None) -> None:
    """None on the PATH, or one that does not even say its version."""
    folder = tmp_path / "bin"
    folder.mkdir()
    if does:
        compiler(folder, "")
        (folder / "g++").write_text(f"#!{SHELL}\n{does}\n")
    use(monkeypatch, folder)
    with pytest.raises(EngineError, match="g\\+\\+"):
        kernel_path(tmp_path)
