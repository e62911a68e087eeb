"""vLLM's set-up on a CPU: what it decides by itself (a fact a test, for the pinned version), and what we make of it."""

import inspect
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.server.test_settings import SETTINGS
from tests.tiny import tiny_base

from lorarack.server.defaults import KEEP_MEMORY
from lorarack.server.settings import VARIABLE, CpuLora

pytestmark = [
    pytest.mark.torch,
    # vLLM's own import: torch.jit.script_method is deprecated, and it still uses it.
    pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning"),
]


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """As it was, afterwards: vLLM's own platform writes to it."""
    environ = dict(os.environ)
    os.environ.pop("OMP_NUM_THREADS", None)
    os.environ.pop(VARIABLE, None)
    yield
    os.environ.clear()
    os.environ.update(environ)


@pytest.fixture
def settle(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From here on vLLM has our platform, as under `lorarack serve`."""

    def settle() -> None:
        from vllm import platforms

        from lorarack.server.cpu.platform import LorarackCpuPlatform

        settings = SETTINGS.model_copy(update={"cpu_lora": CpuLora.KERNEL})
        monkeypatch.setenv(VARIABLE, settings.model_dump_json())
        monkeypatch.setattr(platforms, "_current_platform", LorarackCpuPlatform())

    return settle


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch, settle: Callable[[], None]) -> list[Any]:
    """LoRA's configuration as vLLM's own platform gets to see it."""
    from vllm.platforms.cpu import CpuPlatform

    found: list[Any] = []
    settle()
    monkeypatch.setattr(
        CpuPlatform, "check_and_update_config", classmethod(lambda _, config: found.append(config.lora_config))
    )
    return found


def check(config: Any) -> None:
    from lorarack.server.cpu.platform import LorarackCpuPlatform

    LorarackCpuPlatform.check_and_update_config(config)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_base(tmp_path_factory.mktemp("base")))


@pytest.fixture
def configured(base: str) -> Callable[..., Any]:
    """vLLM's whole configuration for these engine arguments, on its own platform until `settle` is called."""
    from vllm.engine.arg_utils import EngineArgs

    return lambda **arguments: EngineArgs(model=base, max_lora_rank=16, **arguments).create_engine_config()


def mode(config: Any) -> str:
    return str(config.compilation_config.mode.name)


def test_vllm_turns_compilation_off_for_lora(configured: Callable[..., Any]) -> None:
    """Without LoRA it compiles: the reason for that part of our platform. When this fails, drop that part of it."""
    assert (mode(configured()), mode(configured(enable_lora=True))) == ("DYNAMO_TRACE_ONCE", "NONE")


def test_vllm_moves_the_model_to_a_process_of_its_own(configured: Callable[..., Any]) -> None:
    """Also where one process is enough, on a CPU only; else drop the other part."""
    assert configured(enable_lora=True).parallel_config.distributed_executor_backend == "mp"


def test_compilation_stays_with_lora_as_without(configured: Callable[..., Any], settle: Callable[[], None]) -> None:
    """Mode and options are those of a server without LoRA, and LoRA is as it was asked for."""
    plain = configured().compilation_config
    settle()
    config = configured(enable_lora=True, max_loras=3)
    assert mode(config) == "DYNAMO_TRACE_ONCE"
    assert config.compilation_config.backend == plain.backend
    assert config.compilation_config.inductor_compile_config == plain.inductor_compile_config
    assert config.lora_config.max_loras == 3


def test_a_user_who_wants_no_compilation_gets_none(configured: Callable[..., Any], settle: Callable[[], None]) -> None:
    settle()
    assert mode(configured(enable_lora=True, enforce_eager=True)) == "NONE"


def test_the_model_stays_in_the_engines_process_and_has_its_threads(
    configured: Callable[..., Any], settle: Callable[[], None]
) -> None:
    """In the environment for as long as that process is started, as vLLM sets them for a worker."""
    from lorarack.server.process.prespawn import openmp_environment

    settle()
    config = configured(enable_lora=True)
    assert config.parallel_config.distributed_executor_backend == "uni"
    assert "OMP_NUM_THREADS" not in os.environ
    with openmp_environment({"vllm_config": config}):
        assert int(os.environ["OMP_NUM_THREADS"]) >= 1
    assert "OMP_NUM_THREADS" not in os.environ


def test_a_user_who_wants_another_process_gets_it(configured: Callable[..., Any], settle: Callable[[], None]) -> None:
    """`--distributed-executor-backend mp` is not what vLLM makes of silence."""
    from lorarack.server.process.prespawn import openmp_environment

    settle()
    config = configured(enable_lora=True, distributed_executor_backend="mp")
    assert config.parallel_config.distributed_executor_backend == "mp"
    with openmp_environment({"vllm_config": config}):
        assert "OMP_NUM_THREADS" not in os.environ


def test_the_engine_keeps_the_memory_of_its_steps(monkeypatch: Any) -> None:
    """glibc asks the kernel for 24 MiB once, not again each time: seen in a process that begins with what a start sets."""
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    before = page_faults()
    monkeypatch.setenv("GLIBC_TUNABLES", KEEP_MEMORY)
    assert page_faults() < before / 2


def page_faults() -> int:
    """Of a process that takes, fills and frees the same 24 MiB ten times."""
    code = """
import ctypes, resource
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
for _ in range(10):
    taken = libc.malloc(24 << 20)
    ctypes.memset(taken, 1, 24 << 20)
    libc.free(taken)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""
    return int(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)


def fake(moe: bool = False, multimodal: bool = False, sharded: bool = False, lora: bool = True) -> Any:
    """As much of a configuration as our part of the set-up reads."""
    return SimpleNamespace(
        lora_config=SimpleNamespace(fully_sharded_loras=sharded) if lora else None,
        model_config=SimpleNamespace(is_moe=moe, is_multimodal_model=multimodal),
        parallel_config=SimpleNamespace(distributed_executor_backend="mp", data_parallel_size=1),
    )


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (fake(moe=True), "mixture of experts"),
        (fake(multimodal=True), "multimodal"),
        (fake(sharded=True), "--fully-sharded-loras"),
    ],
)
def test_what_cannot_be_traced_is_not_compiled_and_said_once(
    seen: list[Any], caplog: pytest.LogCaptureFixture, config: Any, said: str
) -> None:
    """vLLM sees the LoRA configuration there, and decides as ever."""
    lora = config.lora_config
    with caplog.at_level(logging.WARNING):
        check(config)
    assert seen == [lora]
    assert [said in record.message for record in caplog.records] == [True]


def test_without_a_compiler_nothing_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch's compiler would stop the server in its warm-up."""
    from lorarack.server.cpu.platform import uncompiled_reason

    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("CXX", raising=False)
    assert "C++ compiler" in (uncompiled_reason(fake()) or "")
    assert uncompiled_reason(fake(lora=False)) is None


@pytest.mark.parametrize("config", [fake(), fake(moe=True, lora=False)])
def test_what_can_be_traced_hides_lora_from_vllm_and_says_nothing(
    seen: list[Any], caplog: pytest.LogCaptureFixture, config: Any
) -> None:
    """Nor is there anything to say where there is no LoRA at all."""
    lora = config.lora_config
    check(config)
    assert seen == [None]
    assert config.lora_config is lora
    assert not caplog.records


def test_lora_is_put_back_when_vllm_refuses_the_configuration(seen: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from vllm.platforms.cpu import CpuPlatform

    def refuse(_: Any, config: Any) -> None:
        assert config.lora_config is None
        raise ValueError("no")

    monkeypatch.setattr(CpuPlatform, "check_and_update_config", classmethod(refuse))
    config = fake()
    lora = config.lora_config
    with pytest.raises(ValueError, match="no"):
        check(config)
    assert config.lora_config is lora


def test_where_it_is_off_vllm_decides(seen: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """But rows of the base stay rows of the base."""
    from lorarack.server.cpu.platform import GROUPED, LorarackCpuPlatform

    monkeypatch.setenv(VARIABLE, SETTINGS.model_dump_json())
    config = fake()
    check(config)
    assert seen == [config.lora_config]
    assert LorarackCpuPlatform.get_punica_wrapper() == GROUPED


def test_what_was_compiled_ahead_of_time_can_be_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """vLLM calls a method on it that a plain inductor function lacks, and takes the error for a damaged file."""
    import torch
    from vllm.compilation import decorators

    from lorarack.server.cpu.aot_loader import patch_aot_loader

    assert "_artifacts.compiled_fn.finalize_loading(" in inspect.getsource(decorators._try_load_aot_compiled_fn)
    x = torch.ones(4, 4)
    torch._dynamo.reset()
    compiled = torch.compile(lambda x: x @ x, fullgraph=True).aot_compile(((x,), {}))
    compiled.save_compiled_function(str(tmp_path / "compiled"))

    def loaded() -> Any:
        with (tmp_path / "compiled").open("rb") as file:
            return torch.compiler.load_compiled_function(file)

    monkeypatch.setattr(torch.compiler, "load_compiled_function", torch.compiler.load_compiled_function)
    assert not hasattr(loaded()._artifacts.compiled_fn, "finalize_loading")
    patch_aot_loader()
    patch_aot_loader()  # vLLM may load its plugins more than once
    function = loaded()
    assert function._artifacts.compiled_fn.finalize_loading(None) is None
    assert torch.equal(function(x), x @ x)
    torch._dynamo.reset()
