"""Compiles the kernel for this processor, once: with g++, in about ten seconds, before an engine starts.

The result lies in a cache, under a digest of what it depends on (the sources, the processor's features, the C library, torch) and
the compiler's version. Another machine that shares the home builds its own, and one without a compiler uses what another compiler
made for it. The library's bytes are followed by their digest, so that a damaged one is detected before it is loaded. Of several
processes that miss it at the same time one compiles, and the others wait for it.
"""

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from lorarack.registry.errors import EngineError
from lorarack.server.user_cache import private_folder, untrusted_reason

#: A compiler that hangs must not keep a server from starting.
_SECONDS = 180
_PART = ".so.part"
_DIGEST_BYTES = 32
_SOURCES = Path(__file__).parent / "kernel_source"
_FLAGS = ("-std=c++20", "-O3", "-march=native", "-fopenmp", "-fPIC", "-shared")


def kernel_path(cache: Path) -> Path:
    """Where the kernel for this machine is, or will be, below ``cache``.

    Raises:
        EngineError: there is no compiler, and no kernel either.
    """
    digest = hashlib.sha256()
    names = (_processor(), " ".join(platform.libc_ver()), *_FLAGS, version("torch"))
    for part in [*(path.read_bytes() for path in _sources()), *(name.encode() for name in names)]:
        digest.update(len(part).to_bytes(8, "little") + part)
    name = f"cpu-lora-{digest.hexdigest()[:32]}"
    try:
        return cache / f"{name}-{_compiler_version()}.so"
    except EngineError:
        made = [path for path in sorted(cache.glob(f"{name}-*.so")) if is_intact(path)]
        if made:
            return made[-1]
        raise


def is_intact(path: Path) -> bool:
    """Whether an undamaged kernel that only we can write is at ``path``. False too if it cannot be read."""
    try:
        content = path.read_bytes()
    except OSError:
        return False
    if untrusted_reason(path):
        return False
    return hashlib.sha256(content[:-_DIGEST_BYTES]).digest() == content[-_DIGEST_BYTES:]


def build_kernel(path: Path) -> None:
    """Compile the kernel to ``path``, atomically, unless another process has by the time that it is this one's turn.

    Raises:
        EngineError: the compiler failed, or the folder cannot be written.
    """
    private_folder(path.parent)
    with _alone_in(path.parent):
        if not is_intact(path):
            _compile(path)


def _compile(path: Path) -> None:
    torch = _torch_folder()
    try:
        _sweep(path.parent)
        handle, name = tempfile.mkstemp(dir=path.parent, suffix=_PART)
    except OSError as error:
        raise EngineError(f"{path.parent} cannot be written: {error.strerror}.") from error
    os.close(handle)
    command = [
        _compiler(), *_FLAGS, f"-I{torch / 'include'}", str(_SOURCES / "library.cpp"), "-o", name,
        f"-L{torch / 'lib'}", "-ltorch_cpu", "-lc10",
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
        if done.returncode:
            first = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr[:200])
            raise EngineError(f"g++ could not compile the kernel: {first.strip()}")
        with Path(name).open("r+b") as made:
            made.write(hashlib.sha256(made.read()).digest())
            made.flush()
            os.fsync(made.fileno())
        os.replace(name, path)
    except (OSError, subprocess.SubprocessError) as error:
        raise EngineError(f"g++ did not run: {error}") from error
    finally:
        Path(name).unlink(missing_ok=True)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Wait until no other process builds a kernel in ``folder``. The lock ends with its process, so a killed one blocks no other.

    On a file system without locks there is no waiting: each process builds the whole kernel under a name of its own.
    """
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise EngineError(f"{folder} cannot be read: {error.strerror}.") from error
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _sweep(cache: Path) -> None:
    """Remove the leftovers of killed builds: no compiler takes this long."""
    for part in cache.glob(f"*{_PART}"):
        with suppress(OSError):
            if time.time() - part.stat().st_mtime > 2 * _SECONDS:
                part.unlink()


def _sources() -> list[Path]:
    return sorted(path for path in _SOURCES.iterdir() if path.suffix in (".cpp", ".h"))


def _compiler() -> str:
    found = shutil.which("g++")
    if found is None:
        raise EngineError("there is no g++ on this machine.")
    return found


def _compiler_version() -> str:
    try:
        done = subprocess.run([_compiler(), "-dumpfullversion"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise EngineError(f"g++ does not run: {error}") from error
    return done.stdout.strip()


def _processor() -> str:
    """The architecture and the names of the instruction sets that this processor has."""
    names = ("flags", "Features")
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    features = next((line for line in lines if line.startswith(names)), "")
    return f"{platform.machine()} {features}"


def _torch_folder() -> Path:
    found = find_spec("torch")
    if found is None or found.origin is None:
        raise EngineError("torch is not installed.")
    return Path(found.origin).parent
