"""Whatever happens to a registry, in whatever order: its log tells its aliases, and what followed it sees what is there."""

import shutil
import tempfile
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from tests.registry.history_model import Model
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
from lorarack.registry.errors import Conflict

pytestmark = pytest.mark.thorough

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
    """Does anything. What the model allows must be accepted; what is refused must leave everything as it was."""

    root: Path
    registry: Registry

    def open(self, home: Path) -> Registry:
        """The registry that it is done to."""
        return open_registry(home)

    @initialize()
    def begin(self) -> None:
        self.root = Path(tempfile.mkdtemp())
        self.registry = self.open(self.root / "home")
        self.registry.add_base(str(tiny_base(self.root / "base")), "tiny")
        for seed in range(SOURCES):
            tiny_adapter(self.root / str(seed), rank=4 if seed % 2 else 8, seed=seed)
        self.model = Model()
        for adapter in ("one", "two/b"):
            for source in range(3):
                self.publish(adapter, source, 0.5 - source / 10, None)
        self.followed = self.lagging = self.registry.snapshot()

    def teardown(self) -> None:
        if hasattr(self, "registry"):
            self.registry.close()
            shutil.rmtree(self.root)

    def attempt(self, expected: bool | None, name: str, *arguments: Any, **options: Any) -> Any:
        """What it returned, or None where it was refused: then nothing has happened. ``expected``: whether it must be accepted."""
        before = self.registry.last_event_id()
        done, refused = None, None
        try:
            done = getattr(self.registry, name)(*arguments, **options)
        except LorarackError as error:
            refused = error
        if refused:
            assert self.registry.last_event_id() == before
            assert not expected, f"{name}{arguments} is allowed, and was refused: {refused}"
            return None
        assert expected is not False, f"{name}{arguments} is not allowed, and was done"
        return done

    @rule(adapter=ADAPTERS, source=st.integers(0, SOURCES - 1), loss=LOSSES, parent=st.none() | NUMBERS)
    def publish(self, adapter: str, source: int, loss: float | None, parent: int | None) -> None:
        metrics = [Metric(name="loss", split="validation", value=loss)] if loss is not None else []
        parents = [Parent(version=f"one@{parent}", relation="resized")] if parent else []
        above = ("one", parent) if parent else None
        may = self.model.may_publish(adapter, source, above)
        folder = self.root / str(source)
        done = self.attempt(may, "publish", folder, adapter, base="tiny", metrics=metrics, parents=parents)
        if done is not None:
            assert done.created == (self.model.same(adapter, source) is None)
            assert (adapter, done.version.number) == self.model.publish(adapter, source, above)

    @rule(adapter=ADAPTERS, alias=ALIASES, number=NUMBERS, expect=st.none() | NUMBERS)
    def set_alias(self, adapter: str, alias: str, number: int, expect: int | None) -> None:
        may = self.model.may_move(adapter, alias, number, expect)
        if self.attempt(may, "set_alias", adapter, alias, number, expect=expect):
            self.model.move(adapter, alias, number)

    @rule(adapter=ADAPTERS, alias=ALIASES, number=NUMBERS, force=st.booleans())
    def promote(self, adapter: str, alias: str, number: int, force: bool) -> None:
        """The rule is not in the model: without force a version that may be promoted may also be refused."""
        may = self.model.pointing(adapter, alias) == number or self.model.is_ready((adapter, number))
        expected = may if force or not may else None
        if self.attempt(expected, "promote", adapter, alias, number, rule=Rule(label="eval_loss"), force=force):
            self.model.move(adapter, alias, number)

    @rule(adapter=ADAPTERS, alias=ALIASES)
    def rollback(self, adapter: str, alias: str) -> None:
        target = self.model.before(adapter, alias)
        done = self.attempt(target > 0, "rollback", adapter, alias)
        if done is not None:
            assert done.version == target
            self.model.roll_back(adapter, alias)

    @rule(adapter=ADAPTERS, number=NUMBERS, to=st.sampled_from(["archive", "quarantine", "restore"]))
    def change_state(self, adapter: str, number: int, to: str) -> None:
        key = (adapter, number)
        there = self.model.versions.get(key)
        held = there is not None and there.state != "archived" and self.model.has_alias(key)
        may = there is not None and not (to == "archive" and held)
        if self.attempt(may, to, f"{adapter}@{number}", reason="because"):
            self.model.versions[key].state = {"archive": "archived", "quarantine": "quarantined", "restore": "ready"}[
                to
            ]

    @rule(adapter=ADAPTERS, number=NUMBERS, tags=st.dictionaries(st.sampled_from("ab"), st.sampled_from("xy")))
    def describe(self, adapter: str, number: int, tags: dict[str, str]) -> None:
        may = (adapter, number) in self.model.versions
        self.attempt(may, "describe", f"{adapter}@{number}", tags=tags, without=["a"])

    @rule(adapter=ADAPTERS, number=NUMBERS)
    def delete(self, adapter: str, number: int) -> None:
        key = (adapter, number)
        if self.attempt(key in self.model.versions and not self.model.is_held(key), "delete", f"{adapter}@{number}"):
            del self.model.versions[key]

    @rule(adapter=ADAPTERS, keep=st.none() | NUMBERS)
    def set_retention(self, adapter: str, keep: int | None) -> None:
        self.attempt(True, "set_retention", adapter, keep_last=keep)
        self.model.keep_last[adapter] = keep or 0

    @rule()
    def gc(self) -> None:
        self.attempt(True, "gc", grace_seconds=0)
        self.model.collect()

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
    def it_has_what_the_model_has(self) -> None:
        if hasattr(self, "registry"):
            versions = [version for adapter in ("one", "two/b") for version in self.registry.versions(adapter)]
            found = {(version.adapter, version.number): version.state for version in versions}
            assert found == {key: entry.state for key, entry in self.model.versions.items()}
            aliases = {(alias.adapter, alias.name): alias.version for alias in self.registry.aliases()}
            assert aliases == {key: named[-1] for key, named in self.model.named.items()}

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


class _Refusing:
    """A registry that refuses some of its operations, or all that change anything."""

    def __init__(self, registry: Registry, refused: frozenset[str]) -> None:
        self._registry, self._refused = registry, refused

    def __getattr__(self, name: str) -> Any:
        if name in self._refused:
            raise Conflict(f"No {name} today.")
        return getattr(self._registry, name)


WRITES = (
    "publish",
    "set_alias",
    "promote",
    "rollback",
    "archive",
    "restore",
    "describe",
    "delete",
    "set_retention",
    "gc",
)


@pytest.mark.parametrize("refused", [WRITES, ("rollback",), ("delete",)], ids=["all", "rollback", "delete"])
def test_a_registry_that_refuses_what_is_allowed_does_not_pass(refused: tuple[str, ...]) -> None:
    """Else the test above would say nothing of one that does nothing."""

    class Refused(AnyHistory):
        def open(self, home: Path) -> Registry:
            return cast(Registry, _Refusing(open_registry(home), frozenset(refused)))

    once = settings(max_examples=12, stateful_step_count=25, phases=[Phase.generate], database=None)
    with pytest.raises(AssertionError, match="is allowed, and was refused"):
        run_state_machine_as_test(Refused, settings=once)
