"""Whatever strangers write is read or refused: no other exception, no hang. ``python -m benchmarks.fuzz`` tries many more."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.parsers import parsers

pytestmark = pytest.mark.thorough


@pytest.mark.parametrize("name", parsers(Path()))
def test_spoiled_input_is_read_or_refused(name: str, tmp_path: Path) -> None:
    parser = parsers(tmp_path)[name]
    outcomes: list[bool] = []

    @settings(max_examples=300, database=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def cases(data: st.DataObject) -> None:
        outcomes.append(parser.check(data.draw(parser.given)))

    cases()
    assert len(outcomes) >= 300
