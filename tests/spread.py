"""How the tests are spread over the processes of pytest-xdist, and in what order they run.

By files, and all that uses the session's server on one process, or each would start its own. That comes first on the one
process, since it takes longest; what imports torch comes first on the others, since what is short fills the end evenly.
"""

from pathlib import Path

import pytest
from xdist.scheduler import LoadFileScheduling

#: The folders of tests on the session's server, and the fixtures that tell a test on it: other tests have servers of that name.
SHARED = ("tests/attack/", "tests/system/")
FIXTURES = {"server", "small_base"}


class ByServerAndFile(LoadFileScheduling):
    """`--dist loadfile`, but the tests on the session's server stay together."""

    def _split_scope(self, nodeid: str) -> str:
        return "the session's server" if nodeid.startswith(SHARED) else super()._split_scope(nodeid)


def order(items: list[pytest.Item]) -> None:
    """Sort the tests by file, those that take longest first.

    Raises:
        pytest.UsageError: a test outside the folders in ``SHARED`` uses the session's server.
    """
    misplaced = sorted({item.nodeid for item in items if _uses_server(item) and not item.nodeid.startswith(SHARED)})
    if misplaced:
        raise pytest.UsageError(f"These use the session's server and belong into tests/system: {', '.join(misplaced)}")
    ranks: dict[Path, int] = {}
    for item in items:
        ranks[item.path] = min(_rank(item), ranks.get(item.path, 9))
    items.sort(key=lambda item: ranks[item.path])


def _uses_server(item: pytest.Item) -> bool:
    return set(getattr(item, "fixturenames", ())) >= FIXTURES


def _rank(item: pytest.Item) -> int:
    if item.nodeid.startswith(SHARED):
        return 0
    if item.get_closest_marker("system"):
        return 2  # after some of torch: in a new home they wait for the small base, which the first process makes
    return 1 if item.get_closest_marker("torch") else 3
