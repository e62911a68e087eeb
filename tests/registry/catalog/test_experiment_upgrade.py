"""An experiment that ran before there were shadow answers goes on as it began, when its database is upgraded."""

import json
import sqlite3
from pathlib import Path

from tests.tiny import tiny_adapter, tiny_base

from lorarack.registry import open_registry
from lorarack.registry.experiment.observed import Answer

NEW = {"exposures": ("shadow_arm", "shadow_share", "same", "text", "shadow_text"), "looks": ("pairs",)}


def test_a_running_experiment_of_schema_0011_goes_on(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with open_registry(home) as registry:
        registry.add_base(str(tiny_base(tmp_path / "base")), "tiny")
        for seed in (1, 2):
            registry.publish(tiny_adapter(tmp_path / f"{seed}", seed=seed), "support", base="tiny")
        experiments = registry.experiments
        planned = experiments.plan("support", "default", [("1", 50), ("2", 50)], margin=0.2, shadow=False)
        ident = experiments.start(planned).id
        for number in range(200):
            arm, completion = str(1 + number % 2), f"a{number}"
            known = {"experiment": ident, "caller": f"c{number}", "key": "k"}
            experiments.record([Answer(arm=arm, completion=completion, **known)])
            if number < 199:
                experiments.add_feedback(completion, "k", "thumbs", float(number % 10 > 0))
        experiments.review(ident)
        before = experiments.status("support", "default")
    _make_old(home / "catalog.sqlite")
    with open_registry(home) as registry:
        after = registry.experiments.status("support", "default")
        assert (after.looks, after.tallies, after.callers) == (before.looks, before.tallies, before.callers)
        assert (after.experiment, after.experiment.plan.shadow) == (before.experiment, False)
        registry.experiments.add_feedback("a199", "k", "thumbs", 1)
        assert registry.experiments.review(ident).alpha == 0.05


def _make_old(path: Path) -> None:
    """As a release with schema 0011 left it."""
    database = sqlite3.connect(path)
    for table, columns in NEW.items():
        for column in columns:
            database.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
    for name, tally in database.execute("SELECT name, tally FROM arms").fetchall():
        old = {key: value for key, value in json.loads(tally).items() if key not in ("shadow", "paired", "callers")}
        database.execute("UPDATE arms SET tally = ? WHERE name = ?", (json.dumps(old), name))
    ((plan,),) = database.execute("SELECT plan FROM experiments").fetchall()
    old = {key: value for key, value in json.loads(plan).items() if key not in ("shadow", "differing")}
    database.execute("UPDATE experiments SET plan = ?", (json.dumps(old),))
    database.execute("UPDATE alembic_version SET version_num = '0011'")
    database.commit()
    database.close()
