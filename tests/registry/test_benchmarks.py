"""Each benchmark runs, on a tiny size, and says what it measured; no time is held against anything here."""

import io
import json
from collections.abc import Callable

import pytest
from benchmarks import fuzz, publishing, resolving, searching, starting
from benchmarks.report import Row, report

SMALL: dict[str, Callable[[], list[Row]]] = {
    "resolving": lambda: resolving.rows(200, resolves=5, changes=4),
    "searching": lambda: searching.rows((1000,), times=1),
    "publishing": lambda: publishing.rows((1,), times=1),
    "starting": lambda: starting.rows(2, times=1),
    "fuzz": lambda: fuzz.rows(8, 8),
}


@pytest.mark.parametrize("run", SMALL.values(), ids=SMALL)
def test_a_benchmark_runs(run: Callable[[], list[Row]]) -> None:
    to = io.StringIO()
    rows = run()
    report("small", rows, to=to)
    table, line = to.getvalue().splitlines()[:-1], json.loads(to.getvalue().splitlines()[-1])
    assert len(line["rows"]) == len(rows) > 0
    assert all(row.ours and "FAILED" not in row.ours for row in rows)
    assert set(line["versions"]) >= {"python", "lorarack", "sqlalchemy"}
    assert table[0].split() == ["what", "ours", "peer", "ratio", "goal", "met"]
