"""The compiled model with LoRA as an operation of its own: right under slots that are rewritten all the time, quick to start again.

Another server than the other tests': compiled, the head and the embedding adapted too, and fewer slots and host copies than
adapters, so that nearly every request rewrites a slot and many read an adapter again. Its cache folder is its own: what a start
leaves there for the next must not be another server's. Its base has the first layers of the small one only: compiling takes as
long as there are layers, and they are all alike. `make demo` and `make attack` compile the small base itself.
"""

import random
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.system.reference import Reference, cut_base
from tests.system.server import Server
from tests.system.session_adapters import TIED, eight_adapters, tokens_of
from tests.system.session_server import BASE
from tests.system.test_served_equals_trained import ask, check

from lorarack.registry import open_registry

pytestmark = [pytest.mark.system, pytest.mark.torch]

FLAGS = (
    "--dtype", "float32", "--kv-cache-memory-bytes", "256M", "--max-model-len", "512", "--max-num-seqs", "16",
    "--max-loras", "3", "--max-cpu-loras", "4",
)  # fmt: skip
REWRITES = 100
LAYERS = 4


@pytest.fixture(scope="module")
def base(small_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cut_base(small_base, tmp_path_factory.mktemp("cut") / "base", LAYERS)


@pytest.fixture(scope="module")
def everyone(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return eight_adapters(base, tmp_path_factory.mktemp("eight"))


@pytest.fixture(scope="module")
def reference(base: Path, everyone: dict[str, Path]) -> Reference:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", TIED)
        return Reference(base, everyone)


@pytest.fixture(scope="module")
def prompts(reference: Reference) -> list[list[int]]:
    return tokens_of(reference)


@pytest.fixture(scope="module")
def home(base: Path, everyone: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("compiled") / "registry"
    with open_registry(home) as registry:
        registry.add_base(str(base), BASE)
        for reference, folder in everyone.items():
            registry.publish(folder, reference.partition("@")[0], base=BASE)
    return home


def start(home: Path) -> Server:
    return Server(home, BASE, FLAGS, XDG_CACHE_HOME=str(home.parent / "cache"))


@pytest.fixture(scope="module")
def compiled(home: Path) -> Iterator[Server]:
    running = start(home)
    try:
        running.wait()
        yield running
    finally:
        code = running.stop()
    assert code == 0, running.tail()
    assert "EngineDeadError" not in running.log.read_text(errors="replace"), "being stopped is no error"


def test_it_is_compiled_and_computed_by_the_kernel(compiled: Server) -> None:
    said = compiled.log.read_text(errors="replace")
    assert "CompilationMode.DYNAMO_TRACE_ONCE" in said
    assert "No LoRA kernel" not in said
    assert "speed was not measured" not in said
    assert "--lora-target-modules down_proj embed_tokens gate_proj" in said


def test_a_hundred_rewritten_slots_and_every_answer_right(
    compiled: Server, everyone: dict[str, Path], reference: Reference, prompts: list[list[int]]
) -> None:
    """Eight adapters take turns in three slots, beside base requests and long ones that run while slots change."""
    choice = random.Random(5)
    names = list(everyone)
    rows: list[tuple[str, list[int]]] = []
    while len(rows) < REWRITES * 4 // 3:
        last = [model for model, _ in rows[-3:]]
        model = BASE if choice.random() < 0.2 else choice.choice([name for name in names if name not in last])
        rows.append((model, choice.choice(prompts)))
    with ThreadPoolExecutor(8) as pool:
        long = [pool.submit(compiled.complete, name, prompts[0], max_tokens=200, ignore_eos=True) for name in names[:2]]
        answers = list(pool.map(lambda row: ask(compiled, *row), rows))
        for future in long:
            assert future.result()["usage"]["completion_tokens"] == 200
    for (model, prompt), answer in zip(rows, answers, strict=True):
        check(answer, model, prompt, reference)


def test_the_second_start_compiles_nothing_and_begins_early(
    compiled: Server, home: Path, everyone: dict[str, Path], reference: Reference, prompts: list[list[int]]
) -> None:
    """vLLM itself saves what it compiled, cannot load it, and compiles again at every start."""
    again = start(home)
    try:
        again.wait()
        said = again.log.read_text(errors="replace")
        assert "Directly load AOT compilation" in said
        assert "Compiling the LoRA kernel" not in said
        assert "The engine runs in the prespawned process" in said
        for model in [BASE, *everyone]:
            check(ask(again, model, prompts[0]), model, prompts[0], reference)
    finally:
        again.stop()
