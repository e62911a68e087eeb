"""One real server for the whole session, over the session's adapters.

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
def server(
    request: pytest.FixtureRequest,
    small_base: Path,
    adapters: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    """It is stopped at the end. Where it does not start, the session ends with its log: nothing else could be learned."""
    home = tmp_path_factory.mktemp("home") / "registry"
    with open_registry(home) as registry:
        registry.add_base(str(small_base), BASE)
        for reference, folder in adapters.items():
            published = registry.publish(folder, reference.partition("@")[0], base=BASE)
            assert published.version.reference == reference
        registry.set_alias("plain", "prod", 2)
    running = Server(home, BASE, FLAGS)
    try:
        running.wait()
    except BaseException:
        request.session.shouldstop = "the session's server did not start"
        running.stop()
        raise
    yield running
    assert running.stop() == 0, f"Ctrl-C must stop it in order:\n{running.tail()}"


def stop_when_it_has_ended(item: pytest.Item) -> None:
    """After a test on the session's server: where it has ended, so does the session, with its log."""
    running = getattr(item, "funcargs", {}).get("server")
    if isinstance(running, Server) and running.process.poll() is not None:
        item.session.shouldstop = "the session's server has ended"
        pytest.fail(f"the session's server has ended:\n{running.tail()}", pytrace=False)
