"""``lorarack resize``, ``merge`` and ``scale`` as a user runs them."""

import pytest
from tests.command_line import lorarack
from tests.json_schemas import hold

from lorarack.registry import Registry

COMMANDS = [
    (("resize", "support@1", "--rank", 2), "support@3", 2),
    (("resize", "support@1", "--energy", "0.7", "--name", "thin"), "thin@1", None),
    (("merge", "support@1", "support@2", "--method", "linear", "--weights", "0.7,0.3"), "support@3", 8),
    (("scale", "support@1", "--by", "0.8"), "support@3", 8),
]


@pytest.mark.torch
@pytest.mark.parametrize(("arguments", "reference", "rank"), COMMANDS, ids=[" ".join(map(str, c[0])) for c in COMMANDS])
def test_it_publishes_and_says_what(
    registry: Registry, arguments: tuple[object, ...], reference: str, rank: int | None
) -> None:
    found = lorarack(*arguments, "--json", "--registry", registry.location).json()
    hold(str(arguments[0]), found)
    assert (found["reference"], found["created"]) == (reference, True)
    assert rank in (None, found["rank"])
    assert found["parents"][0]["version"] == "support@1"
    again = lorarack(*arguments, "--registry", registry.location)
    assert again.out.startswith(f"Already there: {reference} ")
    assert "made from support@1" in again.out
