"""What serve chooses for the user follows from the registry and the machine, and never overrules the user."""

from typing import Any

from tests.server.values import BASE_PRINT, version

from lorarack.registry import State
from lorarack.server.defaults import engine_defaults, environment_defaults
from lorarack.server.settings import CpuLora


def by_flag(*ranks: int, **changes: Any) -> dict[str, object]:
    versions = [version(number, rank=rank, **changes) for number, rank in enumerate(ranks, 1)]
    return {default.flag: default.value for default in engine_defaults(BASE_PRINT, versions)}


def test_slots_hold_the_largest_ready_rank_of_this_base() -> None:
    assert by_flag()["--max-lora-rank"] == 16
    assert by_flag(4, 8)["--max-lora-rank"] == 16
    assert by_flag(4, 33)["--max-lora-rank"] == 64
    assert by_flag(64, base_fingerprint="sha256:" + "c" * 64)["--max-lora-rank"] == 16
    assert by_flag(64, state=State.ARCHIVED)["--max-lora-rank"] == 16


def test_slots_follow_what_is_wanted_and_the_reason_says_what_is_left_out() -> None:
    """Not one stray upload of rank 512, which would make every slot sixteen times as large."""
    versions = [version(1, rank=8), version(2, rank=32), version(3, rank=512)]

    def rank(*wanted: str) -> tuple[object, str]:
        found = {d.flag: d for d in engine_defaults(BASE_PRINT, versions, wanted=wanted)}["--max-lora-rank"]
        return found.value, found.reason

    assert rank("support@1", "other@9")[0] == 16
    value, reason = rank("support@1", "support@2")
    assert value == 32
    assert "support@2 has rank 32" in reason
    assert reason.endswith("one of higher rank is refused")
    assert "refused" not in rank("support@3")[1]


def test_on_a_cpu_only_layers_that_a_ready_version_adapts_are_wrapped() -> None:
    """A version on some of a block's layers brings all of the block's; embeddings come only when somebody adapts them."""

    def modules(*targets: tuple[str, ...], **changes: Any) -> object:
        versions = [version(n, target_modules=names, **changes) for n, names in enumerate(targets, 1)]
        found = {d.flag: d.value for d in engine_defaults(BASE_PRINT, versions, cpu=True)}
        return found.get("--lora-target-modules")

    usual = ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]
    assert modules(("model.layers.0.self_attn.q_proj",)) == usual
    assert modules(("q_proj",), ("lm_head",)) == sorted([*usual, "lm_head"])
    assert modules(("c_attn",)) == ["c_attn"]
    assert modules() is None
    assert modules(("lm_head",), state=State.ARCHIVED) is None
    assert "--lora-target-modules" not in by_flag(4)


def test_every_default_has_its_reason() -> None:
    assert all(default.reason and default.flag.startswith("--") for default in engine_defaults(BASE_PRINT, []))


def test_small_machines_compute_on_all_cores_unless_told_otherwise() -> None:
    name = "VLLM_CPU_NUM_OF_RESERVED_CPU"
    assert environment_defaults(2, CpuLora.OFF, {}) == {name: "0"}
    assert environment_defaults(64, CpuLora.OFF, {}) == {}
    assert environment_defaults(2, CpuLora.OFF, {name: "1"}) == {}


def test_an_engine_keeps_the_memory_of_its_steps_unless_told_otherwise() -> None:
    """A user who tunes the allocator is left alone."""
    assert "malloc" in environment_defaults(64, CpuLora.KERNEL, {})["GLIBC_TUNABLES"]
    assert environment_defaults(64, CpuLora.KERNEL, {"GLIBC_TUNABLES": "glibc.malloc.check=0"}) == {}
