"""Whatever happens to a registry, in whatever order: its log tells its aliases, and what followed it sees what is there."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.registry.search_tables import check_search_tables
from tests.tiny import tiny_adapter, tiny_base

from lorarack.registry import (
    LorarackError,
    Metric,
    Parent,
    Registry,
    Rule,
    Snapshot,
    open_registry,
    replay_aliases,
)

ADAPTERS = st.sampled_from(["one", "two/b"])
ALIASES = st.sampled_from(["default", "prod"])
NUMBERS = st.integers(1, 5)
LOSSES = st.none() | st.sampled_from([0.3, 0.4, 0.5])
SOURCES = 6


def seen(snapshot: Snapshot) -> dict[str, Any]:
    """Everything that can be asked of a snapshot, as plain data."""
    return {
        name: {
            "base": view.base,
            "made": view.created_at,
            "aliases": dict(view.aliases),
            "versions": [version.to_json() for version in view.versions],
            "newest": [view.newest(rank) for rank in (None, 4, 8)],
            "digests": [view.with_digest(version.digest[7:15]) for version in view.versions],
        }
        for name, view in snapshot.adapters.items()
    } | {"bases": dict(snapshot.bases), "order": list(snapshot.adapters)}


class AnyHistory(RuleBasedStateMachine):
    """Does anything; operations that the present state forbids must leave everything as it was."""

    root: Path
    registry: Registry

    @initialize()
    def begin(self) -> None:
        self.root = Path(tempfile.mkdtemp())
        self.registry = open_registry(self.root / "home")
        self.registry.add_base(str(tiny_base(self.root / "base")), "tiny")
        for seed in range(SOURCES):
            tiny_adapter(self.root / str(seed), rank=4 if seed % 2 else 8, seed=seed)
        self.highest: dict[str, int] = {}
        for adapter in ("one", "two/b"):
            for source in range(3):
                self.publish(adapter, source, 0.5 - source / 10, None)
        self.followed = self.lagging = self.registry.snapshot()

    def teardown(self) -> None:
        if hasattr(self, "registry"):
            self.registry.close()
            shutil.rmtree(self.root)

    def attempt(self, name: str, *arguments: Any, **options: Any) -> Any:
        """What it returned, or None where it was refused: then nothing has happened."""
        before = self.registry.last_event_id()
        try:
            return getattr(self.registry, name)(*arguments, **options)
        except LorarackError:
            assert self.registry.last_event_id() == before
            return None

    @rule(adapter=ADAPTERS, source=st.integers(0, SOURCES - 1), loss=LOSSES, parent=st.none() | NUMBERS)
    def publish(self, adapter: str, source: int, loss: float | None, parent: int | None) -> None:
        metrics = [Metric(name="loss", split="validation", value=loss)] if loss is not None else []
        parents = [Parent(version=f"one@{parent}", relation="resized")] if parent else []
        done = self.attempt("publish", self.root / str(source), adapter, base="tiny", metrics=metrics, parents=parents)
        if done is not None and done.created:
            assert done.version.number > self.highest.get(adapter, 0), "a number never comes again"
            self.highest[adapter] = done.version.number

    @rule(adapter=ADAPTERS, alias=ALIASES, number=NUMBERS, expect=st.none() | NUMBERS)
    def set_alias(self, adapter: str, alias: str, number: int, expect: int | None) -> None:
        self.attempt("set_alias", adapter, alias, number, expect=expect)

    @rule(adapter=ADAPTERS, alias=ALIASES, number=NUMBERS, force=st.booleans())
    def promote(self, adapter: str, alias: str, number: int, force: bool) -> None:
        self.attempt("promote", adapter, alias, number, rule=Rule(label="eval_loss"), force=force)

    @rule(adapter=ADAPTERS, alias=ALIASES)
    def rollback(self, adapter: str, alias: str) -> None:
        self.attempt("rollback", adapter, alias)

    @rule(adapter=ADAPTERS, number=NUMBERS, to=st.sampled_from(["archive", "quarantine", "restore"]))
    def change_state(self, adapter: str, number: int, to: str) -> None:
        self.attempt(to, f"{adapter}@{number}", reason="because")

    @rule(adapter=ADAPTERS, number=NUMBERS, tags=st.dictionaries(st.sampled_from("ab"), st.sampled_from("xy")))
    def describe(self, adapter: str, number: int, tags: dict[str, str]) -> None:
        self.attempt("describe", f"{adapter}@{number}", tags=tags, without=["a"])

    @rule(adapter=ADAPTERS, number=NUMBERS)
    def delete(self, adapter: str, number: int) -> None:
        self.attempt("delete", f"{adapter}@{number}")

    @rule(adapter=ADAPTERS, keep=st.none() | NUMBERS)
    def set_retention(self, adapter: str, keep: int | None) -> None:
        self.attempt("set_retention", adapter, keep_last=keep)

    @rule()
    def gc(self) -> None:
        self.attempt("gc", grace_seconds=0)

    @rule()
    def catch_up(self) -> None:
        """After many changes at once."""
        self.lagging = self.registry.snapshot(self.lagging)
        assert seen(self.lagging) == seen(self.registry.snapshot())

    @invariant()
    def who_follows_sees_what_is_there(self) -> None:
        """After each single change."""
        if hasattr(self, "followed"):
            self.followed = self.registry.snapshot(self.followed)
            assert seen(self.followed) == seen(self.registry.snapshot())

    @invariant()
    def what_is_kept_for_searching_is_right(self) -> None:
        if hasattr(self, "registry"):
            check_search_tables(self.registry)

    @invariant()
    def the_log_tells_the_aliases(self) -> None:
        if hasattr(self, "registry"):
            assert replay_aliases(self.registry.events(limit=100_000)) == self.registry.aliases()

    @invariant()
    def an_alias_names_a_version_that_is_there(self) -> None:
        if hasattr(self, "registry"):
            for alias in self.registry.aliases():
                found = self.registry.get_version(f"{alias.adapter}@{alias.version}")
                assert alias.name in found.aliases


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(max_examples=12, stateful_step_count=25, deadline=None)
