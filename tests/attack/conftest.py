"""Attacks on a real server. After each one everything must be as it was before, for everybody else.

`make test` runs what is quick, on the server of the system tests; `make attack` runs all, eager and compiled. An attack is a
test here; which promise it tries, and how it ends, is a line of the table in docs/security.md.
"""

import os
from collections.abc import Iterator

import pytest
from tests.attack.health import Wellbeing
from tests.system.server import Server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what is long unless `make attack` asked."""
    if os.environ.get("LORARACK_ATTACK"):
        return
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="long: run by `make attack`"))


@pytest.fixture(scope="session")
def before(server: Server) -> Wellbeing:
    """How the server was before the first attack."""
    return Wellbeing.of(server)


@pytest.fixture
def attacked(server: Server, before: Wellbeing) -> Iterator[Server]:
    """The server, for one attack; afterwards base and another adapter answer as before, with the memory of before."""
    yield server
    Wellbeing.of(server).must_be(before)
