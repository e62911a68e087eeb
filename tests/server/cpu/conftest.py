"""The kernel, compiled once per machine, and the one backend of the process that runs these tests."""

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lorarack.server.cpu.kernel_build import build_kernel, is_intact, kernel_path


def kept_kernel() -> Path:
    """The kernel for the sources and flags as they are now, in the tests' own cache folder; compiled when it is not there."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "lorarack-tests"
    path = kernel_path(cache / "kernels")
    if not is_intact(path):
        build_kernel(path)
    return path


@pytest.fixture(scope="session")
def kernel_file() -> Path:
    """The kernel for this processor."""
    if shutil.which("g++") is None:
        pytest.skip("needs g++")
    return kept_kernel()


@pytest.fixture(scope="session", autouse=True)
def started() -> None:
    """The first to ask decides for the whole process: with the kernel, where there is a compiler."""
    from lorarack.server.cpu.custom_ops import layer_factory

    layer_factory(kept_kernel() if shutil.which("g++") else None)


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    """The kernel shares out rows among threads; the other tests have one."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def world() -> Iterator[Any]:
    """vLLM ready to build layers, and our wrapper's way of taking them over; both gone afterwards."""
    from tests.server.cpu.wrapped import vllm_world
    from vllm.lora.layers import BaseLayerWithLoRA

    environ, set_mapping = dict(os.environ), BaseLayerWithLoRA.set_mapping
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with vllm_world(port) as config:
        yield config
    BaseLayerWithLoRA.set_mapping = set_mapping
    os.environ.clear()
    os.environ.update(environ)


@pytest.fixture
def wrapper(world: Any) -> Any:
    from tests.server.cpu.wrapped import SLOTS

    from lorarack.server.cpu.layer_patch import KernelPunicaWrapper

    return KernelPunicaWrapper(256, max_batches=64, device="cpu", max_loras=SLOTS)
