"""What the server leans on in vLLM 0.32, a fact a test. When the pinned version changes, these say what to look at again."""

import importlib.util
import inspect
from pathlib import Path
from typing import Any, get_args

import pytest
from tests.server.plans import machine, plan, tiny

from lorarack.registry.errors import UsageError
from lorarack.server.defaults import Default, engine_defaults
from lorarack.server.engine_arguments import engine_arguments
from lorarack.server.limits import PACKED, RANK_BUCKETS
from lorarack.server.process.prespawn import FACTS, MODULES
from lorarack.server.vllm.flags import parse_flags

pytestmark = [
    pytest.mark.torch,
    # vLLM's own import: torch.jit.script_method is deprecated, and it still uses it.
    pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning"),
]

ARITHMETIC = (
    "update_metadata", "add_shrink", "add_expand", "add_lora_linear", "add_lora_embedding", "add_lora_logits",
    "apply_lora_full_linear",
)  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_what_an_early_engine_imports_is_there(name: str) -> None:
    """It is left out in silence where it is not."""
    assert importlib.util.find_spec(name) is not None


@pytest.mark.parametrize(("module", "fact"), FACTS)
def test_what_an_early_engine_finds_out_torch_keeps(module: str, fact: str) -> None:
    import vllm  # noqa: F401 - as the engine does before

    found = getattr(importlib.import_module(module), fact)
    assert found() is found()


@pytest.mark.parametrize("name", ARITHMETIC)
def test_our_arithmetic_takes_what_vllm_passes(name: str) -> None:
    """Every parameter of vLLM's own CPU class is one of ours, in the same order."""
    from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU

    from lorarack.server.cpu.punica import GroupedPunicaWrapper

    def named(owner: Any) -> list[str]:
        parameters = inspect.signature(getattr(owner, name)).parameters.values()
        return [p.name for p in parameters if p.kind is not inspect.Parameter.VAR_KEYWORD]

    assert named(GroupedPunicaWrapper)[: len(named(PunicaWrapperCPU))] == named(PunicaWrapperCPU)


def test_vllm_has_no_arithmetic_that_ours_lacks() -> None:
    """A method that only vLLM's CPU class overrides would run its own, wrong, code."""
    from vllm.lora.punica_wrapper.punica_base import PunicaWrapperBase
    from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU

    from lorarack.server.cpu.punica import GroupedPunicaWrapper

    def public(owner: type) -> set[str]:
        return {name for name, member in vars(owner).items() if callable(member) and not name.startswith("_")}

    base_only = public(PunicaWrapperBase)
    assert public(PunicaWrapperCPU) <= public(GroupedPunicaWrapper)
    assert {name for name in base_only if getattr(GroupedPunicaWrapper, name) is getattr(PunicaWrapperBase, name)} <= {
        name for name in base_only if getattr(PunicaWrapperCPU, name) is getattr(PunicaWrapperBase, name)
    }


def test_the_seam_is_a_class_path_from_the_platform() -> None:
    from vllm.platforms.cpu import CpuPlatform

    assert CpuPlatform.get_punica_wrapper() == "vllm.lora.punica_wrapper.punica_cpu.PunicaWrapperCPU"


def test_slot_sizes_are_vllms() -> None:
    from vllm.config.lora import MaxLoRARanks

    assert get_args(MaxLoRARanks) == RANK_BUCKETS


def test_llamas_packed_layers_are_as_we_think() -> None:
    from vllm.model_executor.models.llama import LlamaForCausalLM

    packed = LlamaForCausalLM.packed_modules_mapping
    assert {layer: tuple(parts) for layer, parts in packed.items()} == dict(PACKED)


def test_the_endpoint_plugin_has_what_vllm_calls() -> None:
    from vllm.plugins.endpoint_plugins.interface import EndpointPlugin

    from lorarack.server.vllm.endpoint import LorarackEndpoints

    wanted = {name for name in vars(EndpointPlugin) if not name.startswith("_")}
    wanted |= set(EndpointPlugin.__annotations__)
    assert {"name", "required_tasks", "attach_router", "init_state"} <= wanted
    assert all(hasattr(LorarackEndpoints, name) for name in wanted)


def test_adapters_are_named_by_requests_in_a_dictionary() -> None:
    """The routes accept a model that `lora_requests` has; the request carries name, id and path."""
    from vllm.entrypoints.openai.models.serving import OpenAIServingModels
    from vllm.lora.request import LoRARequest

    assert "lora_requests" in inspect.getsource(OpenAIServingModels.__init__)
    request = LoRARequest(lora_name="support@3", lora_int_id=7, lora_path="/p")
    assert (request.lora_name, request.lora_int_id, request.lora_path) == ("support@3", 7, "/p")
    assert request.load_inplace is False


@pytest.mark.parametrize("name", ["add_lora", "remove_lora", "list_loras"])
def test_the_engine_can_be_told_about_adapters(name: str) -> None:
    from vllm.v1.engine.async_llm import AsyncLLM

    assert inspect.iscoroutinefunction(getattr(AsyncLLM, name))


def parse(tmp_path: Path, *flags: str) -> Any:
    """As a start settles them, but for the port, which may be taken here."""
    return engine_arguments(plan(tiny(tmp_path), *flags, port=0), machine(), []).args


def test_our_defaults_hold_until_the_user_says_otherwise(tmp_path: Path) -> None:
    """On the command line, in any spelling, or in a vLLM configuration file."""
    made = plan(tiny(tmp_path))
    args = parse_flags(made.engine_args, made.defaults).args
    assert (args.host, args.port, args.enable_lora, args.max_loras) == ("127.0.0.1", 8000, True, 8)
    assert parse(tmp_path).served_model_name == ["tiny"]
    assert parse(tmp_path, "--max_loras=3").max_loras == 3
    config = tmp_path / "config.yaml"
    config.write_text("port: 9001\nmax-loras: 5\nmax-lora-rank: 32\n")
    made = plan(tiny(tmp_path), "--config", str(config), "--max-lora-rank", "64")
    args = parse_flags(made.engine_args, made.defaults).args
    assert (args.port, args.max_loras, args.max_lora_rank) == (9001, 5, 64)


def test_an_address_that_others_reach_wants_a_key(tmp_path: Path) -> None:
    """Whoever says the address: a flag, or a vLLM configuration file."""
    config = tmp_path / "config.yaml"
    config.write_text('host: "0.0.0.0"\n')
    for flags in (["--host", "0.0.0.0"], ["--config", str(config)]):
        with pytest.raises(UsageError, match="lorarack key add NAME"):
            parse(tmp_path, *flags)
        assert parse(tmp_path, *flags, "--api-key", "k").host == "0.0.0.0"


def test_the_base_answers_to_its_own_name_whatever_else_it_is_called(tmp_path: Path) -> None:
    assert parse(tmp_path, "--served-model-name", "gpt", "llm").served_model_name == ["gpt", "llm", "tiny"]


@pytest.mark.parametrize(
    "flags",
    [
        ("--no-such-flag", "1"),
        ("--max-loras", "many"),
        ("--headless",),
        ("--lora-modules", "x=/y"),
        ("--config", "/no"),
    ],
)
def test_flags_that_vllm_does_not_take_are_one_sentence(tmp_path: Path, flags: tuple[str, ...]) -> None:
    with pytest.raises(UsageError) as refused:
        parse(tmp_path, *flags)
    assert "\n" not in refused.value.message


def test_defaults_are_vllms_flags(tmp_path: Path) -> None:
    args = parse(tmp_path)
    defaults: tuple[Default, ...] = engine_defaults("", [])
    assert all(hasattr(args, default.key) for default in defaults)
