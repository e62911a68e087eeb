"""Compilers for the tests: scripts called g++, alone on the PATH with the tools that they need."""

import shutil
from pathlib import Path

# Found before a test changes the PATH.
SHELL, SLEEP, _REMOVE = shutil.which("sh"), shutil.which("sleep"), shutil.which("rm")

#: Takes g++'s arguments, says its version, and finds out where the result belongs.
_START = """#!{shell}
case "$1" in -dumpfullversion) echo {version}; exit 0;; esac
echo called >> {calls}
while [ $# -gt 0 ]; do [ "$1" = -o ] && out=$2; shift; done
"""

WORKS = 'printf "a whole kernel" > "$out"'
FAILS = 'printf "half a ker" > "$out"; echo "library.cpp:1:1: error: what is this" >&2; exit 1'
DIES = 'printf "half a ker" > "$out"; kill -9 $$'
HANGS = f'printf "half a ker" > "$out"; exec {SLEEP} 60'
LOSES = f'{_REMOVE} "$out"'


def compiler(folder: Path, does: str, version: str = "13.2.0") -> Path:
    """A folder for the PATH with a g++ that does this; it counts its calls in a file ``calls`` beside itself."""
    folder.mkdir(exist_ok=True)
    text = _START.format(shell=SHELL, version=version, calls=folder / "calls") + does + "\n"
    program = folder / "g++"
    program.write_text(text)
    program.chmod(0o755)
    return folder


def calls(folder: Path) -> int:
    """How often that g++ has compiled."""
    log = folder / "calls"
    return len(log.read_text().splitlines()) if log.exists() else 0
