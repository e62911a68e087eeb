"""gc takes what belongs to versions that are gone and to experiments that ended long ago."""

from pathlib import Path

import pytest
from tests.registry.test_gc import items
from tests.tiny import tiny_adapter

from lorarack.registry import Registry


@pytest.fixture
def filled(registry: Registry, tmp_path: Path) -> Registry:
    """Versions 1 (default) to 3 of ``support``, of different content."""
    for seed in range(1, 4):
        registry.publish(tiny_adapter(tmp_path / f"{seed}", seed=seed), "support", base="tiny")
    return registry


def evaluations(registry: Registry, digest: str) -> Path:
    folder = Path(registry.location) / "evaluations" / digest.removeprefix("sha256:")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "one.json").write_text("{}")
    return folder


def test_evaluations_go_with_their_version(filled: Registry) -> None:
    """With the version that is deleted or collected, or later where the process was killed; what is no digest stays."""
    kept, deleted, collected = (evaluations(filled, filled.get_version(f"support@{n}").digest) for n in (1, 2, 3))
    orphan, unfinished = evaluations(filled, "sha256:" + "0" * 64), evaluations(filled, "unfinished")
    filled.delete("support@2")
    assert not deleted.exists()
    filled.archive("support@3")
    assert filled.gc(dry_run=True).removed("evaluation") == 2
    assert collected.exists()
    done = filled.gc(grace_seconds=0)
    assert items(done, "evaluation") == {
        f"sha256:{folder.name}": (True, "no version has this digest") for folder in (collected, orphan)
    }
    assert [folder.exists() for folder in (kept, collected, orphan, unfinished)] == [True, False, False, True]
    assert filled.events(limit=1000)[-1].detail["evaluations"] == 2


def test_evaluations_stay_while_another_version_has_the_digest(filled: Registry, tmp_path: Path) -> None:
    version = filled.get_version("support@2")
    filled.fetch("support@2", tmp_path / "again")
    assert filled.publish(tmp_path / "again", "child", base=version.base).version.digest == version.digest
    folder = evaluations(filled, version.digest)
    filled.delete("support@2")
    assert folder.exists()


def test_answers_of_experiments_that_ended_long_ago_go(filled: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    from lorarack.registry.experiment.observed import Answer

    experiments = filled.experiments
    ident = experiments.start(experiments.plan("support", "default", [("1", 50), ("2", 50)])).id
    known = {"experiment": ident, "arm": "1", "caller": "c", "key": "k"}
    experiments.record([Answer(completion=f"a{number}", **known) for number in range(3)])
    experiments.stop("support", "default")
    assert filled.gc().removed("experiment") == 0
    monkeypatch.setattr("lorarack.registry.catalog.experiment_answers.FEEDBACK_DAYS", -1)
    for dry_run in (True, False):
        assert items(filled.gc(dry_run=dry_run), "experiment") == {
            f"support@default #{ident}": (
                True,
                "it ended more than 7 days ago; 3 answers go, and what was counted of them stays",
            )
        }
    assert filled.gc().removed("experiment") == 0
    status = experiments.status("support", "default")
    assert (status.tallies["1"].requests, status.callers["1"]) == (3, 1)
