"""``lorarack study`` as a user runs it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.command_line import lorarack
from tests.json_schemas import hold

from lorarack.adapters.recipe import Recipe
from lorarack.registry import Registry


@pytest.mark.torch
def test_from_rows_to_a_rank(
    registry: Registry, recipe: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name, a base and rows are enough; the second time nothing is trained, and people get a table and a sentence."""
    monkeypatch.setenv("LORARACK_HOME", str(tmp_path / "lorarack"))
    data = recipe().data
    arguments = (
        *("study", "plain", "--base", "tiny", "--data", data.train, "--validation", data.validation, "--rank", 4),
        *("--max-steps", 8, "--learning-rate", "0.02", "--registry", registry.location),
    )
    found = lorarack(*arguments, "--json").json()
    hold("study", found)
    assert [line["rank"] for line in found["ranks"]] == [1, 2, 3, 4]
    shown = lorarack(*arguments)
    assert f"recommended: {found['recommended']['reference']} (rank {found['recommended']['rank']})" in shown.out
    assert found["recommended"]["reason"].partition(";")[0] in shown.out
    assert "steps" not in shown.err
    assert (tmp_path / "lorarack" / "studies" / found["study"] / "report.html").exists()
