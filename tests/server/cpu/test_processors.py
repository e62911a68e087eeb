"""The same sources give the same answers on processors that have less than this one, and without a kernel."""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.server.cpu.answers import steps
from tests.server.cpu.conftest import kept_kernel

from lorarack.server.cpu import kernel_build

pytestmark = pytest.mark.torch


def answers(kernel: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tests.server.cpu.answers", kernel],
        cwd=Path(__file__).parents[3],
        env={**os.environ, "OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


def features() -> set[str]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return set(next((line for line in lines if line.startswith("flags")), "").split())


@pytest.mark.parametrize("processor", ["x86-64", "x86-64-v3"])
def test_processors_without_avx512_get_the_same_answers(processor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """SSE2 alone, and AVX2 with FMA: whole numbers to the bit, real ones within their roundings."""
    if platform.machine() != "x86_64" or shutil.which("g++") is None:
        pytest.skip("needs g++ on x86-64")
    if processor == "x86-64-v3" and not {"avx2", "fma", "bmi2"} <= features():
        pytest.skip("needs AVX2")
    own = kept_kernel()
    flags = tuple(f"-march={processor}" if flag == "-march=native" else flag for flag in kernel_build._FLAGS)
    assert flags != kernel_build._FLAGS
    monkeypatch.setattr(kernel_build, "_FLAGS", flags)
    lesser = kept_kernel()
    assert lesser != own
    assert answers(str(lesser)) == f"{len(steps())} right, kernel"


def test_without_a_kernel_torch_gives_them() -> None:
    """The same operation, by name, so that a compiled graph is the same."""
    assert answers("-") == f"{len(steps())} right, torch"
