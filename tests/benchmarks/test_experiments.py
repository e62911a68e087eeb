"""The benchmark of experiments runs on a tiny size; no time is held against anything."""

import json

import pytest
from benchmarks import bench_experiments

pytestmark = pytest.mark.thorough


def test_it_runs_and_every_share_and_count_is_within_its_goal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench_experiments, "LENGTH", 60)
    bench_experiments.main(40)
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["bench"] == "experiments"
    users = next(row for row in found["rows"] if row["what"].startswith("users who keep their arm"))
    assert users["met"]
