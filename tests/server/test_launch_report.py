"""What `plan` says is what a start would do, with the reason of each setting and the bytes that follow from it."""

import inspect
import json
from pathlib import Path
from typing import Any

import pytest
from tests.command_line import lorarack
from tests.json_schemas import hold
from tests.server.plans import GPU, machine, plan, tiny
from tests.system.server import free_port
from tests.tiny import tiny_base

from lorarack.registry import open_registry
from lorarack.server import cli, cli_plan
from lorarack.server.launch_report import LaunchReport

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")]


def report(tmp_path: Path, *flags: str, **on: Any) -> LaunchReport:
    from lorarack.server.engine_arguments import engine_arguments
    from lorarack.server.launch_report import launch_report

    here = machine(**on)
    made = plan(tiny(tmp_path), *flags, on=here, port=free_port())
    found = engine_arguments(made, here, [])
    return launch_report(made, here, found.args, found.size, found.cache)


def test_each_setting_has_a_reason_or_is_the_users(tmp_path: Path) -> None:
    found = report(tmp_path, "--max-loras", "3", "--api-key", "secret", "--max-model-len", "64")
    settings = {setting.name: setting for setting in found.settings}
    assert (settings["--max-loras"].value, settings["--max-loras"].said_by) == ("3", "user")
    assert (settings["--max-model-len"].value, settings["--max-model-len"].said_by) == ("64", "user")
    assert settings["--max-cpu-loras"].said_by == "lorarack"
    assert all(setting.reason for setting in found.settings if setting.said_by == "lorarack")
    assert "secret" not in str(found.to_json())
    assert (found.slots, found.places, found.max_rank) == (3, 64, 16)


def test_plan_takes_what_serve_takes_and_shows_it(tmp_path: Path) -> None:
    serve, plan_ = (inspect.signature(command).parameters for command in (cli.serve, cli_plan.plan))
    assert [*serve, "json"] == [*plan_]
    assert all(serve[name] == plan_[name] for name in serve if name != "base")
    tiny_base(tmp_path / "tiny")
    with open_registry(tmp_path / "home") as registry:
        registry.add_base(str(tmp_path / "tiny"), "tiny")
        registry.keys.add("web-shop")
    flags = ("--registry", str(tmp_path / "home"), "--port", str(free_port()), "--json")
    told = lorarack("plan", "tiny", "--close-metrics", "--key-concurrency", "4", *flags)
    assert told.code == 0, told.err
    said = {one["name"]: one["value"] for one in json.loads(told.out)["settings"]}
    assert (said["--close-metrics"], said["--key-concurrency"]) == ("True", "4")
    assert "--max-waiting" not in said


def test_bytes_follow_from_ranks_and_layers(tmp_path: Path) -> None:
    """A rank 64 takes eight times what rank 8 does; weights, processes and cache fit into what is free."""
    found = report(tmp_path, "--max-lora-rank", "64", "--lora-target-modules", "q_proj")
    costs = {cost.rank: cost for cost in found.ranks}
    assert costs[64].adapter_bytes == 8 * costs[8].adapter_bytes > 0
    assert costs[64].slots_bytes == 8 * costs[64].adapter_bytes
    assert costs[64].host_bytes == 64 * costs[64].adapter_bytes
    assert costs[64].compute - 1 == pytest.approx(8 * (costs[8].compute - 1))
    all_layers = report(tmp_path / "all", "--max-lora-rank", "64")
    assert all_layers.ranks[-1].adapter_bytes > costs[64].adapter_bytes
    parts = [found.weight_bytes, found.process_bytes, found.kv_bytes]
    assert found.free_bytes is not None
    assert sum(part or 0 for part in parts) <= found.free_bytes
    assert found.kv_tokens is not None
    assert found.max_model_len is not None
    assert found.kv_tokens >= found.max_model_len


def test_on_a_gpu_memory_is_vllms(tmp_path: Path) -> None:
    found = report(tmp_path, vllm=GPU)
    assert (found.free_bytes, found.kv_bytes, found.kv_tokens) == (None, None, None)
    assert found.ranks


def test_the_command_starts_nothing(tmp_path: Path) -> None:
    """Also beside a server that has the port; as a table and as JSON. Nonsense is one sentence."""
    home = Path(tmp_path / "home")
    tiny(tmp_path)
    answer = lorarack("plan", "tiny", "--registry", home, "--json", "--max-loras", "2")
    hold("plan", answer.json())
    assert answer.json()["slots"] == 2
    table = lorarack("plan", "tiny", "--registry", home).out
    assert "--max-lora-rank" in table
    assert "what aliases, pins and recent use ask for" in table
    wrong = lorarack("plan", "tiny", "--registry", home, "--no-such-flag")
    assert (wrong.code, "--no-such-flag" in wrong.err) == (2, True)
    assert lorarack("plan", "tiny", "--registry", home, "--pin", "nosuch").code == 1
