"""What tests of every component share: the small real base model, made once per machine."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings
from tests.system.session_server import adapters as adapters
from tests.system.session_server import server as server

# Examples take as long as they take: a machine that is busy with something else is no failure. The same examples every time:
# a change is told by what it breaks, not by luck. HYPOTHESIS_PROFILE=explore looks for new ones, as `make bench` does.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))


# Threads of OpenMP that wait for each other sleep instead of spinning, or everything takes three times as long beside any other
# process. It is read when torch is loaded, here and in the processes that tests start.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# A shell starts background jobs with SIGINT ignored, and their children inherit that: Ctrl-C could not be tested.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def small_base() -> Path:
    """Folder of the demo's base model (SmolLM2-135M-Instruct): ``LORARACK_TEST_BASE``, else made as a user makes it.

    Making it takes half a minute and is kept in the user's cache folder, apart from the user's own lorarack home.
    """
    if given := os.environ.get("LORARACK_TEST_BASE"):
        return Path(given)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "lorarack-tests"
    done = subprocess.run(
        [sys.executable, "-m", "lorarack.registry.cli.main", "demo", "base", "--json"],
        env={**os.environ, "LORARACK_HOME": str(cache), "LORARACK_REGISTRY": str(cache)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Path(json.loads(done.stdout)["path"])
