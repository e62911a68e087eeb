"""The changes that a start made to the environment before its engine started, kept for the next start.

Only what vLLM and torch add or change, never the user's variables, and only names that cannot bring code into a process. What is
preloaded is never read from the file: it is looked up again where vLLM looks, and must belong to root or the user.
"""

import logging
import os
import stat
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from lorarack.registry.value import Value
from lorarack.server.settings import VARIABLE
from lorarack.server.user_cache import untrusted_reason

#: What vLLM 0.32, torch and scikit-learn (transformers imports it where it is installed) set on a CPU: how threads and numbers are
#: handled, nothing that is loaded or run.
ALLOWED = frozenset(
    {
        "OMP_NUM_THREADS", "OMP_PLACES", "OMP_PROC_BIND", "GOMP_CPU_AFFINITY", "KMP_AFFINITY", "KMP_BLOCKTIME", "KMP_TPAUSE",
        "KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK",
        "NUMEXPR_MAX_THREADS", "LOCAL_WORLD_SIZE", "TORCHINDUCTOR_COMPILE_THREADS", "TORCHINDUCTOR_CPP_DYNAMIC_THREADS",
        "VLLM_WORKER_MULTIPROC_METHOD", "VLLM_DISABLE_SHARED_EXPERTS_STREAM", "VLLM_SSM_CONV_STATE_LAYOUT",
        "PYTORCH_NVML_BASED_CUDA_CHECK", "TRITON_CACHE_AUTOTUNING", "TILELANG_CLEANUP_TEMP_FILES", "AITER_SITUV2_A4W4",
    }
)  # fmt: skip
#: What brings code into a process. Only names are remembered; values are looked up again.
LOOKED_UP = ("LD_PRELOAD", "LD_LIBRARY_PATH")
_LARGEST = 64 * 1024
_logger = logging.getLogger("vllm.lorarack")  # as vLLM logs, whose process this is


class LaunchEnvironment(Value):
    """What had changed in the environment from the beginning of a start until its engine began, and for which Python."""

    python: str
    changed: dict[str, Annotated[str, Field(pattern=r"^[^\x00]*$")]]
    looked_up: frozenset[Literal["LD_PRELOAD", "LD_LIBRARY_PATH"]] = frozenset()


def recall(memory: Path, before: Mapping[str, str]) -> dict[str, str] | None:
    """What ``remember`` wrote there; None: nothing, or for another Python, or others may have written it.

    Args:
        memory: the file.
        before: the environment now, at the beginning of a start.
    """
    try:
        found = LaunchEnvironment.model_validate_json(_read(memory))
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        _logger.warning("%s is ignored: %s", memory, error if isinstance(error, OSError) else "it is malformed")
        return None
    if found.python != sys.prefix:
        return None
    if not found.changed.keys() <= ALLOWED:
        _logger.warning("%s is ignored: it has variables that no start sets", memory)
        return None
    libraries = look_up(before)
    if not found.looked_up <= libraries.keys():
        return None
    return {**found.changed, **{name: libraries[name] for name in found.looked_up}}


def remember(memory: Path, changed: Mapping[str, str], before: Mapping[str, str]) -> None:
    """For the next start. If it cannot be written, that start takes some seconds longer."""
    kept = {name: value for name, value in changed.items() if name not in LOOKED_UP}
    libraries = {name: value for name, value in changed.items() if name in LOOKED_UP}
    expected = look_up(before)
    surprises = sorted((kept.keys() - ALLOWED) | {n for n, value in libraries.items() if value != expected.get(n)})
    if surprises:
        _logger.info("The next start will take longer: it cannot be told beforehand what sets %s", ", ".join(surprises))
        with suppress(OSError):
            memory.unlink(missing_ok=True)
        return
    try:
        found = LaunchEnvironment(python=sys.prefix, changed=kept, looked_up=frozenset(libraries))
        content = found.model_dump_json().encode()
        with tempfile.TemporaryDirectory(dir=memory.parent) as folder:
            part = Path(folder) / memory.name
            part.touch(mode=0o600)
            part.write_bytes(content)
            os.replace(part, memory)
    except (OSError, ValueError) as error:
        _logger.info("The next start will take longer: %s cannot be written: %s", memory, error)


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str] | None:
    """What is new or different now; None if a variable is gone, which cannot be remembered.

    Our own variable differs at each start and is left out.
    """
    changed = {name: value for name, value in now.items() if before.get(name) != value and name != VARIABLE}
    return None if before.keys() - now.keys() else changed


def look_up(before: Mapping[str, str]) -> dict[str, str]:
    """The variables of ``LOOKED_UP`` as they come to be on a CPU; without those that would load what others may have written.

    vLLM preloads torch's OpenMP and an allocator that it may bring; OpenCV, which vLLM imports, names a folder of its own for what
    it starts. Where a start finds otherwise, the process that began with this is not used: a change there costs seconds.
    """
    found = {}
    if preload := _preload(before.get("LD_PRELOAD", "")):
        found["LD_PRELOAD"] = preload
    if cv2 := _package("cv2"):
        found["LD_LIBRARY_PATH"] = f"{cv2}/../../lib64:{before.get('LD_LIBRARY_PATH', '')}"
    return {name: value for name, value in found.items() if _is_trusted(value, before.get(name, ""))}


def _preload(names: str) -> str:
    torch, vllm = _package("torch"), _package("vllm")
    if torch and not any(name in names for name in ("libomp", "libgomp", "libiomp")):
        places = (torch.parent / "torch.libs", torch / "lib")
        if found := [path for place in places for path in place.glob("libgomp*.so*")]:
            names = ":".join(filter(None, [names, str(found[0])]))
    if vllm and "libtcmalloc" not in names:
        patterns = ("libtcmalloc_minimal*.so*", "libtcmalloc.so*")
        if found := [path for pattern in patterns for path in (vllm / "libs").glob(pattern)]:
            names = ":".join(filter(None, [str(found[0]), names]))
    return names


def _is_trusted(value: str, given: str) -> bool:
    """Whether only root and the user can have written what ``value`` names beyond what the user gave."""
    for name in set(filter(None, value.split(":"))) - set(given.split(":")):
        place = Path(os.path.realpath(name))
        while not place.exists():  # whoever may write above it could make it
            place = place.parent
        if untrusted_reason(place):
            return False
    return True


def _read(memory: Path) -> bytes:
    """The file's bytes, if it is the user's own and only the user can write it.

    Raises:
        OSError: it is not, or cannot be read.
    """
    descriptor = os.open(memory, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError("it is no plain file")
        if found.st_uid != os.getuid() or found.st_mode & 0o022:
            raise OSError("others may have written it")
        return file.read(_LARGEST)


def _package(name: str) -> Path | None:
    found = find_spec(name)
    return Path(found.origin).parent if found and found.origin else None
