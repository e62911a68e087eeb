"""Which version a reference names: the rules alone, over any versions in any states, and the same in memory as in the catalog."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.tiny import tiny_adapter

from lorarack.registry import AdapterView, Registry, State, Version, open_registry
from lorarack.registry.errors import Conflict, LorarackError, NotFound
from lorarack.registry.resolve import resolve

NOW = datetime(2026, 1, 1, tzinfo=UTC)
READY, ARCHIVED, QUARANTINED = State.READY, State.ARCHIVED, State.QUARANTINED


def version(number: int, rank: int = 8, state: State = READY, digest: str | None = None) -> Version:
    return Version(
        adapter="a",
        number=number,
        digest=f"sha256:{digest or format(number, '064x')}",
        engine_id=number,
        base="b",
        base_fingerprint="sha256:" + "0" * 64,
        rank=rank,
        alpha=16.0,
        target_modules=("q_proj",),
        dtype="f32",
        parameters=1,
        bytes=1,
        state=state,
        created_at=NOW,
        created_by="somebody",
    )


def view(*versions: Version, **aliases: int) -> AdapterView:
    return AdapterView.of("a", "b", versions, aliases, NOW)


def number(reference: str, found: AdapterView) -> int:
    return resolve(reference, {"a": found}, ["a"]).number


def test_latest_and_rank_take_the_newest_ready_version() -> None:
    found = view(
        version(1, 8), version(3, 16), version(4, 8), version(6, 16, ARCHIVED), version(7, 8, QUARANTINED), default=1
    )
    assert number("a@latest", found) == 4
    assert number("a@r8", found) == 4
    assert number("a@r16", found) == 3


def test_an_archived_version_resolves_by_number_and_digest_only() -> None:
    found = view(version(1), version(2, 16, ARCHIVED), default=2, prod=1)
    assert number("a@2", found) == 2
    assert number(f"a@{version(2).digest}", found) == 2
    with pytest.raises(Conflict, match="a@2 is archived; ask for another version of 'a'") as raised:
        number("a", found)
    assert raised.value.code == "not_ready"
    with pytest.raises(NotFound, match="nothing at '@r16'"):
        number("a@r16", found)
    assert number("a@latest", found) == 1


def test_a_quarantined_version_never_resolves() -> None:
    found = view(version(1, state=QUARANTINED), default=1)
    for reference in ("a", "a@1", f"a@{version(1).digest}"):
        with pytest.raises(Conflict, match="a@1 is quarantined"):
            number(reference, found)
    for reference in ("a@latest", "a@r8"):
        with pytest.raises(NotFound, match="ready versions of rank none"):
            number(reference, found)


def test_a_digest_must_be_unique() -> None:
    found = view(version(1, digest="ab" * 32), version(2, digest="ab" * 31 + "cd"))
    assert number("a@sha256:" + "ab" * 31 + "c", found) == 2
    with pytest.raises(NotFound, match=r"start of several digests \(a@1, a@2\); give more digits") as raised:
        number("a@sha256:abababab", found)
    assert raised.value.code == "ambiguous"


def test_an_adapter_without_versions_says_so() -> None:
    with pytest.raises(NotFound, match="Adapter 'a' has no versions"):
        number("a@latest", view())


def test_an_unknown_adapter_offers_near_names() -> None:
    with pytest.raises(NotFound, match=r"no adapter 'suport'\. Did you mean 'support'\?") as raised:
        resolve("suport", {}, ["other", "support"])
    assert raised.value.near == ("support",)


states = st.sampled_from([READY, READY, READY, ARCHIVED, QUARANTINED])
made = st.lists(st.tuples(st.sampled_from([4, 8, 16]), states), max_size=6).map(
    lambda drawn: [version(place + 1, rank, state) for place, (rank, state) in enumerate(drawn)]
)


@given(
    made,
    st.sampled_from(["a", "a@1", "a@3", "a@9", "a@latest", "a@r4", "a@r8", "a@sha256:00000000", "a@prod"]),
    st.integers(1, 7),
)
def test_what_resolves_is_never_quarantined_and_moves_only_to_ready_ones(
    versions: list[Version], reference: str, aimed: int
) -> None:
    found = view(*versions, default=1, prod=aimed)
    try:
        answer = resolve(reference, {"a": found}, ["a"])
    except (NotFound, Conflict):
        return
    assert answer in versions
    assert answer.state is READY or (
        answer.state is ARCHIVED and reference not in ("a", "a@prod", "a@latest", "a@r4", "a@r8")
    )
    if reference in ("a@latest", "a@r4", "a@r8"):
        later = [v for v in versions if v.number > answer.number and v.state is READY]
        assert not [v for v in later if reference == "a@latest" or f"a@r{v.rank}" == reference]


# In memory and in the catalog


def answer(ask: Callable[[str], Version], reference: str) -> object:
    """The version without what a snapshot leaves out, or the error as its reader sees it."""
    try:
        return ask(reference).model_copy(update={"metrics": ()})
    except LorarackError as error:
        return type(error), error.code, error.message


@pytest.fixture(scope="module")
def populated(tmp_path_factory: pytest.TempPathFactory, base_folder: Path) -> Registry:
    """Two adapters with some versions, one deleted and some moved aliases."""
    folder = tmp_path_factory.mktemp("populated")
    registry = open_registry(folder / "home")
    registry.add_base(str(base_folder), "tiny")
    for seed, rank in enumerate((4, 8, 4, 16)):
        adapter = tiny_adapter(folder / f"{seed}", rank=rank, seed=seed)
        registry.publish(adapter, "support", base="tiny")
        registry.publish(adapter, "acme/support", base="tiny")
    registry.set_alias("support", "prod", 3)
    registry.set_alias("acme/support", "default", 2)
    registry.delete("support@4")
    registry.close()
    return registry


asked = st.one_of(
    st.builds(
        "{}@{}".format,
        st.sampled_from(["support", "acme/support", "suport", "tiny"]),
        st.sampled_from(["1", "3", "4", "5", "prod", "default", "latest", "r4", "r8", "r16", "r2", "sha256:00", "", "X"]),
    ),
    st.sampled_from(["support", "acme/support", "tiny", "", "@", "a b", "acme"]),
    st.text(max_size=12),
)  # fmt: skip


@given(reference=asked, place=st.integers(0, 6), digits=st.integers(8, 64))
def test_a_snapshot_answers_as_the_registry_does(populated: Registry, reference: str, place: int, digits: int) -> None:
    """The same version or the same sentence, for whatever is asked."""
    snapshot = populated.snapshot()
    version = snapshot.versions[place]
    for text in (reference, version.reference, f"{version.adapter}@{version.digest[: 7 + digits]}"):
        assert answer(snapshot.resolve, text) == answer(populated.resolve, text)
    populated.close()


def test_a_snapshot_stays_as_it_was_and_knows_its_age(registry: Registry, adapter: Path) -> None:
    before = registry.snapshot()
    registry.publish(adapter, "support", base="tiny")
    after = registry.snapshot()
    assert before.versions == ()
    assert [version.reference for version in after.versions] == ["support@1"]
    assert before.changes < after.changes == registry.last_event_id()
    assert dict(after.bases) == {"tiny": registry.base("tiny")}
