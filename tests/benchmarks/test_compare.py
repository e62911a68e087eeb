"""The benchmark of comparisons runs on a tiny size and ends in its line of JSON; no time is held against anything."""

import json

import pytest
from benchmarks import bench_compare


def test_it_ends_in_one_line_of_json_with_a_row_for_each_case(capsys: pytest.CaptureFixture[str]) -> None:
    bench_compare.main(["rare", "power", "--runs", "20", "--versions", "2"])
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["bench"] == "compare"
    assert {row["goal"] for row in found["rows"]} == {"not surely above 5 %", "within 5 points"}
    assert all(row["ours"] for row in found["rows"])
    assert "numpy" in found["versions"]
