"""What serve chooses for the user follows from the registry and the machine, and never overrules the user."""

from typing import Any

from tests.server.values import BASE_PRINT, version

from lorarack.registry import State
from lorarack.server.defaults import engine_defaults, process_defaults


def by_flag(*ranks: int, **changes: Any) -> dict[str, object]:
    versions = [version(number, rank=rank, **changes) for number, rank in enumerate(ranks, 1)]
    return {default.flag: default.value for default in engine_defaults(BASE_PRINT, versions)}


def test_slots_hold_the_largest_ready_rank_of_this_base() -> None:
    assert by_flag()["--max-lora-rank"] == 16
    assert by_flag(4, 8)["--max-lora-rank"] == 16
    assert by_flag(4, 33)["--max-lora-rank"] == 64
    assert by_flag(64, base_fingerprint="sha256:" + "c" * 64)["--max-lora-rank"] == 16
    assert by_flag(64, state=State.ARCHIVED)["--max-lora-rank"] == 16


def test_every_default_has_its_reason() -> None:
    assert all(default.reason and default.flag.startswith("--") for default in engine_defaults(BASE_PRINT, []))


def test_small_machines_compute_on_all_cores_unless_told_otherwise() -> None:
    name = "VLLM_CPU_NUM_OF_RESERVED_CPU"
    assert process_defaults(2, {}) == {name: "0"}
    assert process_defaults(64, {}) == {}
    assert process_defaults(2, {name: "1"}) == {}
