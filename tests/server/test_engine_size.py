"""What vLLM makes of a model and flags, and which size of the KV cache then holds: the user's, else ours."""

import sys
from pathlib import Path
from typing import Any

import pytest
from tests.server.plans import machine, plan, tiny
from tests.tiny import BASE_CONFIG, write_json

from lorarack.registry import Base
from lorarack.registry.errors import EngineError
from lorarack.server.engine_arguments import engine_arguments
from lorarack.server.memory import Memory
from lorarack.server.vllm.engine_size import engine_size
from lorarack.server.vllm.flags import parse_flags

pytestmark = [
    pytest.mark.torch,
    # vLLM's own import: torch.jit.script_method is deprecated, and it still uses it.
    pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning"),
]
GIB = 2**30
MACHINE = Memory(total=24 * GIB, free=21 * GIB)


@pytest.fixture
def base(tmp_path: Path) -> Base:
    return tiny(tmp_path)


def parse(base: Base, *flags: str) -> Any:
    made = plan(base, *flags)
    args = parse_flags(made.engine_args, made.defaults).args
    args.model = made.engine_args[0]
    return args


def test_the_sizes_are_vllms(base: Base) -> None:
    """2 layers, 2 heads of 4 for keys and as many for values, in bfloat16; vLLM's own number of requests on a CPU."""
    size = engine_size(parse(base), base.parameters)
    assert (size.token_bytes, size.max_model_len, size.max_num_seqs) == (2 * 2 * 2 * 4 * 2, 256, 128)
    assert size.weight_bytes == 2 * base.parameters
    assert (size.workers, size.engines) == (1, 1)


def test_flags_change_them(base: Base) -> None:
    size = engine_size(
        parse(base, "--dtype", "float32", "--max-model-len", "64", "--max-num-seqs", "3", "-tp", "2", "-dp", "2"), 1000
    )
    assert (size.token_bytes, size.max_model_len, size.max_num_seqs) == (2 * 2 * 2 * 4 * 4, 64, 3)
    assert (size.weight_bytes, size.workers, size.engines) == (4000, 2, 2)


@pytest.mark.parametrize(
    "changes", [{"model_type": "mistral", "architectures": ["MistralForCausalLM"], "sliding_window": 16}]
)
def test_where_layers_forget_nothing_is_claimed(base: Base, changes: dict[str, Any]) -> None:
    write_json(Path(base.source) / "config.json", BASE_CONFIG | changes)
    assert engine_size(parse(base), base.parameters).token_bytes is None
    write_json(Path(base.source) / "config.json", BASE_CONFIG)
    assert engine_size(parse(base, "--kv-cache-dtype", "fp8"), base.parameters).token_bytes is None


def test_what_vllm_cannot_serve_is_one_sentence(base: Base) -> None:
    with pytest.raises(EngineError, match="max_model_len") as refused:
        engine_size(parse(base, "--max-model-len", "100000"), base.parameters)
    assert "\n" not in refused.value.message


def settled(base: Base, *flags: str, memory: Memory | None = MACHINE, environ: dict[str, str] | None = None) -> Any:
    on = machine(memory=memory, environ=environ or {})
    found = engine_arguments(plan(base, *flags, on=on, port=0), on, [])
    print(*found.notes, sep="\n", file=sys.stderr)
    return found.args


def test_without_a_word_from_the_user_it_is_ours_and_said(base: Base, capsys: pytest.CaptureFixture[str]) -> None:
    args = settled(base)
    assert args.kv_cache_memory_bytes == (128 * 256 + 128) * 64
    assert "KV cache: 2 MiB of 21.0 GiB free; --kv-cache-memory-bytes to change." in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--kv-cache-memory-bytes", "--kv-cache-memory", "--kv_cache_memory_bytes"])
def test_the_users_own_size_wins(base: Base, flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert settled(base, flag, "1G").kv_cache_memory_bytes == GIB
    assert "KV cache" not in capsys.readouterr().err


@pytest.mark.parametrize("share", ["0.5", "0.92"])
def test_the_users_own_share_wins(base: Base, share: str) -> None:
    """Also vLLM's own, if the user says it."""
    memory = Memory(total=20 * GIB, free=21 * GIB)
    args = settled(base, "--gpu-memory-utilization", share, memory=memory)
    assert (args.kv_cache_memory_bytes, args.gpu_memory_utilization) == (None, float(share))


def test_so_does_one_in_a_configuration_file(base: Base, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("gpu-memory-utilization: 0.4\n")
    args = settled(base, "--config", str(config))
    assert (args.kv_cache_memory_bytes, args.gpu_memory_utilization) == (None, 0.4)


def test_so_does_vllms_older_variable(base: Base) -> None:
    assert settled(base, environ={"VLLM_CPU_KVCACHE_SPACE": "4"}).kv_cache_memory_bytes is None
    assert settled(base, environ={"VLLM_CPU_KVCACHE_SPACE": ""}).kv_cache_memory_bytes is not None


@pytest.mark.parametrize(
    ("flags", "environ", "said"),
    [
        (["--kv-cache-memory-bytes", "900G"], {}, r"KV cache 900\.0 GiB"),
        (["--gpu-memory-utilization", "0.92"], {}, r"KV cache 22\.1 GiB"),
        ([], {"VLLM_CPU_KVCACHE_SPACE": "40"}, r"KV cache 40\.0 GiB"),
    ],
)
def test_what_the_user_wants_is_held_against_what_is_free(
    base: Base, flags: list[str], environ: dict[str, str], said: str
) -> None:
    with pytest.raises(EngineError, match=rf"{said}.*21\.0 GiB are free"):
        settled(base, *flags, environ=environ)


def test_several_workers_each_get_their_part(base: Base, capsys: pytest.CaptureFixture[str]) -> None:
    """vLLM's flag is for one of them."""
    assert settled(base, "-tp", "2").kv_cache_memory_bytes == (256 * 256 + 128) * 64 // 2
    assert "2 MiB for each of 2 workers" in capsys.readouterr().err


def test_where_memory_cannot_be_told_vllm_decides(base: Base) -> None:
    assert settled(base, memory=None).kv_cache_memory_bytes is None
