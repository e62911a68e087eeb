"""What tests of every component share: the small real base model, made once per machine."""

import gc
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from tests import spread
from tests.system.session_adapters import adapters as adapters
from tests.system.session_adapters import prompts as prompts
from tests.system.session_adapters import reference as reference
from tests.system.session_server import server as server
from tests.system.session_server import stop_when_it_has_ended

# Examples take as long as they take: a machine that is busy with something else is no failure. The same examples every time:
# a change is told by what it breaks, not by luck. HYPOTHESIS_PROFILE=explore looks for new ones, as `make bench` does.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))

# Several processes test at once, so each computes with one thread. Threads of OpenMP that wait for each other sleep instead of
# spinning, or everything takes three times as long beside any other process. Both are read when torch is loaded, here and in the
# processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# A shell starts background jobs with SIGINT ignored, and their children inherit that: Ctrl-C could not be tested.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    spread.order(items)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> spread.ByServerAndFile | None:
    """For `--dist loadfile`."""
    return spread.ByServerAndFile(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_runtest_teardown(item: pytest.Item) -> None:
    stop_when_it_has_ended(item)
    freeze_what_was_imported()


def pytest_unconfigure() -> None:
    gc.unfreeze()


_frozen_modules = 0


def freeze_what_was_imported() -> None:
    """Keep imported modules out of garbage collections: with torch's one takes half a second, and every training asks for it."""
    global _frozen_modules
    if len(sys.modules) > _frozen_modules + 500:
        _frozen_modules = len(sys.modules)
        gc.collect()
        gc.freeze()


@pytest.fixture(scope="session")
def small_base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the demo's base model (SmolLM2-135M-Instruct): ``LORARACK_TEST_BASE``, else made as a user makes it.

    Making it takes half a minute and is kept in the user's cache folder, apart from the user's own lorarack home; the registry is a
    new one each time, for other versions of lorarack test on this machine too. Where it cannot be made the session ends.
    """
    if given := os.environ.get("LORARACK_TEST_BASE"):
        return Path(given)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "lorarack-tests"
    registry = tmp_path_factory.mktemp("base") / "registry"
    done = subprocess.run(
        [sys.executable, "-m", "lorarack.registry.cli.main", "demo", "base", "--json"],
        env={**os.environ, "LORARACK_HOME": str(cache), "LORARACK_REGISTRY": str(registry)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        request.session.shouldstop = "the small base cannot be made"
        pytest.fail(done.stderr, pytrace=False)
    return Path(json.loads(done.stdout)["path"])
