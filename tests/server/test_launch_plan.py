"""A start is planned as a value: what is said, set and loaded follows from request, registry and machine alone."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from tests.server.plans import GPU, NO_CACHE, machine, plan, tiny
from tests.server.values import MOMENT, version

from lorarack.registry import AdapterView, Base, Snapshot
from lorarack.registry.errors import EngineError, NotFound
from lorarack.server.launch_plan import wanted_versions
from lorarack.server.settings import VARIABLE, CpuLora, ServingSettings
from lorarack.server.vllm_version import InstalledVllm


@pytest.fixture
def base(tmp_path: Path) -> Base:
    return tiny(tmp_path)


def test_planning_changes_nothing(base: Base) -> None:
    before = dict(os.environ)
    assert plan(base) == plan(base)
    assert dict(os.environ) == before


def test_what_vllm_gets(base: Base) -> None:
    """The base, the address if one was given, the user's flags last: they win."""
    assert plan(base, "--max-loras", "3").engine_args == (base.source, "--max-loras", "3")
    asked = plan(base, "--port=9", host="::1", port=8)
    assert asked.engine_args == (base.source, "--host=::1", "--port=8", "--port=9")


def test_what_the_servers_processes_are_told(base: Base) -> None:
    made = plan(base)
    told = ServingSettings.from_environment({VARIABLE: str(made.environment[VARIABLE])})
    assert told == made.settings
    assert (told.base, told.fingerprint, told.registry, told.cache) == ("tiny", base.fingerprint, "/r", "/a")
    assert (told.errors, told.launcher, told.cpu_lora, told.kernel) == ("/s", 7, CpuLora.KERNEL, "/c/kernels/k.so")


def test_the_environment_of_a_cpu(base: Base) -> None:
    made = plan(base, on=machine(environ={"TRITON_CACHE_DIR": "/mine", "VLLM_TARGET_DEVICE": "cpu"}))
    assert set(made.environment) == {
        "VLLM_COMPUTE_NANS_IN_LOGITS", "VLLM_PLUGINS", VARIABLE, "VLLM_CPU_NUM_OF_RESERVED_CPU", "GLIBC_TUNABLES",
        "TORCHINDUCTOR_CACHE_DIR", "VLLM_CACHE_ROOT", "VLLM_TARGET_DEVICE",
    }  # fmt: skip
    assert made.environment["TORCHINDUCTOR_CACHE_DIR"] == "/c/torchinductor", "not the guessable folder in /tmp"
    assert made.environment["VLLM_CACHE_ROOT"] == "/c/vllm"
    assert made.environment["VLLM_TARGET_DEVICE"] is None, "with it vLLM would not ask for our platform"


def test_the_environment_of_a_gpu(base: Base) -> None:
    """vLLM's own kernels and memory; nothing is prespawned."""
    made = plan(base, on=machine(vllm=GPU))
    assert set(made.environment) == {
        "VLLM_COMPUTE_NANS_IN_LOGITS", "VLLM_PLUGINS", VARIABLE, "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "VLLM_CACHE_ROOT"
    }  # fmt: skip
    assert (made.backend, made.kernel, made.prespawn) == (None, None, None)
    assert json.loads(str(made.environment[VARIABLE]))["cpu_lora"] == "off"
    assert "--lora-target-modules" not in {default.flag for default in made.defaults}


@pytest.mark.parametrize(
    ("given", "plugins"),
    [
        (None, ("lorarack", "other", "lorarack_http")),
        ("", ("lorarack", "lorarack_http")),
        ("mine,lorarack_http", ("mine", "lorarack_http", "lorarack")),
    ],
)
def test_plugins_are_those_admitted_and_ours(base: Base, given: str | None, plugins: tuple[str, ...]) -> None:
    made = plan(base, on=machine(environ={} if given is None else {"VLLM_PLUGINS": given}))
    assert made.plugins == plugins
    assert made.environment["VLLM_PLUGINS"] == ",".join(plugins)


def test_without_a_folder_of_ones_own_nothing_compiled_is_kept(base: Base) -> None:
    """It goes to the server's own temporary folder, and that is said."""
    made = plan(base, on=machine(cache=NO_CACHE, kernel=NO_CACHE))
    assert made.environment["TORCHINDUCTOR_CACHE_DIR"] == "/s/torchinductor"
    assert made.prespawn is None
    assert any("not kept" in note and "written by others" in note for note in made.notes)
    assert made.backend is not None
    assert made.backend.choice is CpuLora.TORCH


@pytest.mark.parametrize("installed", ["0.32.0", "0.32.0+cpu", "0.32.0+cpu.avx2"])
def test_a_builds_own_part_of_the_version_does_not_count(base: Base, installed: str) -> None:
    made = plan(base, on=machine(vllm=InstalledVllm(installed, cpu=True)))
    assert made.backend is not None
    assert (made.backend.choice, made.prespawn) == (CpuLora.KERNEL, Path("/c/engine.json"))


@pytest.mark.parametrize("installed", ["0.32.1", "0.32.0.post1", "0.32.0rc1+cpu", "0.33.0"])
def test_with_a_vllm_that_nobody_tried_the_fast_path_steps_aside(base: Base, installed: str) -> None:
    made = plan(base, on=machine(vllm=InstalledVllm(installed, cpu=True)))
    assert made.backend is not None
    assert (made.backend.choice, made.kernel, made.prespawn) == (CpuLora.OFF, None, None)
    assert [installed in note and "0.32.0" in note for note in made.notes] == [True]


@pytest.mark.parametrize(
    ("wish", "kernel", "choice"),
    [
        (CpuLora.KERNEL, EngineError("there is no g++ on this machine."), CpuLora.TORCH),
        (CpuLora.TORCH, Path("/k"), CpuLora.TORCH),
        (CpuLora.OFF, Path("/k"), CpuLora.OFF),
    ],
)
def test_who_wants_no_kernel_or_can_have_none_gets_none(
    base: Base, wish: CpuLora, kernel: Any, choice: CpuLora
) -> None:
    made = plan(base, on=machine(kernel=kernel), cpu_lora=wish)
    assert made.backend is not None
    assert (made.backend.choice, made.kernel, made.settings.kernel) == (choice, None, None)
    assert bool(made.notes) == (wish is CpuLora.KERNEL)


def test_defaults_follow_from_the_registry(base: Base) -> None:
    made = plan(base, versions=(version(1, rank=33, base_fingerprint=base.fingerprint),))
    assert {default.flag: default.value for default in made.defaults}["--max-lora-rank"] == 64


def test_slots_follow_aliases_pins_and_recent_use() -> None:
    """Of all adapters, whatever their state: what may not be served counts for nothing later."""
    versions = [version(number) for number in range(1, 6)]
    view = AdapterView.of("support", "smol", versions, {"default": 1, "prod": 2}, MOMENT)
    snapshot = Snapshot(changes=1, bases={}, adapters={"support": view})
    assert wanted_versions(snapshot, [], []) == {"support@1", "support@2"}
    assert wanted_versions(snapshot, ["support@4"], [versions[4].digest]) == {f"support@{n}" for n in (1, 2, 4, 5)}
    with pytest.raises(NotFound):
        wanted_versions(snapshot, ["nosuch"], [])
