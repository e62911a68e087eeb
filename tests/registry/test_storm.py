"""Sixteen processes write as fast as they can: nothing is lost, given out twice, refused for lack of patience, or starved."""

from pathlib import Path

import pytest
from tests.registry.storm import faults, storm


@pytest.mark.system
def test_sixteen_writers_lose_nothing_and_none_starves(home: Path, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    outcome = storm(home, tmp_path / "scratch", writers=16, seconds=6)
    assert faults(home, outcome) == []
    assert sum(outcome.writes) > 100
    assert sum(outcome.refused) > 0, "or they never met"
