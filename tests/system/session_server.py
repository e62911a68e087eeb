"""One real server for the whole session, over adapters of several ranks and kinds that PEFT made.

The system tests and the attacks share it. ``LORARACK_ATTACK=compiled`` has it compile its model.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.system.server import Server

from lorarack.registry import open_registry

BASE = "smol"
FLAGS: tuple[str, ...] = (
    # float32, so that what is compared with float32 can be compared closely; fewer slots than adapters.
    "--dtype", "float32", "--enforce-eager", "--kv-cache-memory-bytes", "256M", "--max-model-len", "512",
    "--max-num-seqs", "16", "--max-lora-rank", "16", "--max-loras", "3", "--max-cpu-loras", "4",
)  # fmt: skip
if os.environ.get("LORARACK_ATTACK") == "compiled":
    FLAGS = tuple(flag for flag in FLAGS if flag != "--enforce-eager")


@pytest.fixture(scope="session")
def adapters(small_base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Six adapters by the reference under which the server will have them."""
    from tests.system.reference import make_adapter

    place = tmp_path_factory.mktemp("adapters")
    attention = ["q_proj", "k_proj", "v_proj", "o_proj"]
    return {
        "plain@1": make_adapter(small_base, place / "r4", 4, 1, 0.05),
        "plain@2": make_adapter(small_base, place / "r16", 16, 2, 0.03),
        "strong@1": make_adapter(small_base, place / "strong", 8, 3, 0.3),
        "rslora@1": make_adapter(small_base, place / "rslora", 16, 4, 0.02, use_rslora=True),
        "pattern@1": make_adapter(
            small_base, place / "pattern", 4, 5, 0.05,
            rank_pattern={"down_proj": 12}, alpha_pattern={"down_proj": 6},
        ),
        "partial@1": make_adapter(small_base, place / "partial", 2, 6, 0.1, target_modules=attention),
    }  # fmt: skip


@pytest.fixture(scope="session")
def server(small_base: Path, adapters: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("home") / "registry"
    with open_registry(home) as registry:
        registry.add_base(str(small_base), BASE)
        for reference, folder in adapters.items():
            published = registry.publish(folder, reference.partition("@")[0], base=BASE)
            assert published.version.reference == reference
        registry.set_alias("plain", "prod", 2)
    running = Server(home, BASE, FLAGS)
    try:
        running.wait(600)
        yield running
    finally:
        code = running.stop()
    assert code == 0, f"Ctrl-C must stop it in order:\n{running.tail()}"
