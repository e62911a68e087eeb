"""Rows that a version was trained on or chosen by are not scored as if they were new."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.adapters.openai_stand_in import Said, openai_server
from tests.command_line import Answer, lorarack
from tests.json_schemas import hold
from tests.tiny import tiny_adapter, tiny_base

from lorarack.adapters.data import Row, Rows, load_rows, split_rows
from lorarack.adapters.data.row_digests import LIMIT, row_digests, rows_among
from lorarack.registry import Dataset, Metric, Parent, Provenance, open_registry


def rows(*prompts: object, name: str = "rows.jsonl") -> Rows:
    return Rows(name, tuple(Row("x", prompt=str(prompt)) for prompt in prompts))


def dataset(split: str, of: Rows, *, digests: bool = True) -> Dataset:
    """As training keeps it, or as 0.1.0 did."""
    kept = row_digests(of) if digests else None
    return Dataset(split=split, name=of.name, rows=len(of), digest=of.digest, row_digests=kept)


def publish(home: Path, rank: int, datasets: Sequence[Dataset], parents: Sequence[Parent] = (), **more: Any) -> None:
    with open_registry(home) as registry:
        if not registry.bases():
            registry.add_base(str(tiny_base(home.parent / "tiny")), "tiny")
        provenance = Provenance(datasets=tuple(datasets), **more)
        folder = tiny_adapter(home.parent / f"r{rank}", rank)
        registry.publish(folder, "orders", base="tiny", provenance=provenance, parents=parents)


def compare(home: Path, given: Rows, *flags: str) -> Answer:
    path = home.parent / given.name
    path.write_text("".join(json.dumps(row.to_json()) + "\n" for row in given))
    with openai_server(lambda _: Said("x")) as server:
        common = ("compare", "orders@1", "orders@2", "--data", path, "--url", server.url, "--registry", home)
        answer = lorarack(*common, *flags)
        assert server.asked or answer.code, "what is refused is never asked"
        return answer


TRAIN, VALIDATION, NEW = rows(1, 2, 3), rows(4, 5, name="chosen.jsonl"), rows(6, 7)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (TRAIN, "was trained on 3 of the 3 rows in rows.jsonl (its train set rows.jsonl; the first is line 1)"),
        (rows(3, 1, 2), "was trained on 3 of the 3 rows"),
        (rows(6, 2, 7), "was trained on 1 of the 3 rows in rows.jsonl (its train set rows.jsonl; the first is line 2)"),
        (rows(6, 5), "was chosen by 1 of the 2 rows in rows.jsonl (its validation set chosen.jsonl"),
        (Rows("rows.jsonl", (Row("another answer", prompt="2"),)), "was trained on 1 of the 1 rows"),
    ],
)
def test_seen_rows_are_refused_with_version_and_set_named(tmp_path: Path, given: Rows, said: str) -> None:
    """Whole sets, parts of them, in any order, and with other answers: exit code 3, and nothing is asked or recorded."""
    home = tmp_path / "home"
    for rank in (2, 4):
        publish(home, rank, [dataset("train", TRAIN), dataset("validation", VALIDATION)])
    answer = compare(home, given)
    assert (answer.code, answer.out) == (3, "")
    assert f"orders@1 {said}" in answer.err
    assert "orders@2" in answer.err
    assert "--allow-seen" in answer.err
    with open_registry(home) as registry:
        assert registry.resolve("orders@1").metrics == ()


def test_rows_that_nobody_saw_are_scored_as_ever(tmp_path: Path) -> None:
    """A test set that the recipe named is no reason to refuse: it shaped nothing."""
    home = tmp_path / "home"
    for rank in (2, 4):
        publish(home, rank, [dataset("train", TRAIN), dataset("test", NEW)])
    assert compare(home, NEW).code == 0
    with open_registry(home) as registry:
        assert registry.resolve("orders@1").metric("exact_match", "test") is not None


def test_allowed_scores_are_kept_apart_and_said(tmp_path: Path) -> None:
    """Under a split of their own, so that nothing ranks them with scores on new rows; the report says so."""
    home = tmp_path / "home"
    for rank in (2, 4):
        publish(home, rank, [dataset("train", TRAIN)])
    found = compare(home, TRAIN, "--allow-seen", "--json").json()
    hold("compare", found)
    assert found["versions"][0]["metric"]["split"] == "seen"
    assert "orders@1 was trained on 3 of the 3 rows" in " ".join(found["warnings"])
    with open_registry(home) as registry:
        version = registry.resolve("orders@1")
        assert version.metric("exact_match", "seen") == Metric(
            name="exact_match",
            split="seen",
            value=1,
            dataset=load_rows(tmp_path / TRAIN.name).digest,
            higher_is_better=True,
        )
        assert version.metric("exact_match", "test") is None


def test_versions_that_saw_them_are_not_ranked_with_versions_that_did_not(tmp_path: Path) -> None:
    """Not even with --allow-seen."""
    home = tmp_path / "home"
    publish(home, 2, [dataset("train", TRAIN)])
    publish(home, 4, [dataset("train", NEW)])
    answer = compare(home, TRAIN, "--allow-seen")
    assert answer.code == 3
    assert "orders@2 has not, so they cannot be ranked" in answer.err


def test_what_the_parents_saw_counts(tmp_path: Path) -> None:
    """A version that goes on from another knows its rows too; one that is gone is passed over."""
    home = tmp_path / "home"
    publish(home, 2, [dataset("train", TRAIN)])
    publish(home, 4, [dataset("train", NEW)], [Parent(version="orders@1", relation="continued")])
    answer = compare(home, TRAIN, "--allow-seen", "--json")
    assert "orders@1 was trained on 3" in " ".join(answer.json()["warnings"])


def test_versions_of_earlier_releases_are_known_by_whole_sets(tmp_path: Path) -> None:
    """They kept no digests of rows: the set itself is found, and the file whose part training set aside."""
    home = tmp_path / "home"
    everything = rows(*range(20))
    train, validation = split_rows(everything, 0.2, seed=3)
    for rank in (2, 4):
        publish(
            home, rank, [dataset("train", train, digests=False), dataset("validation", validation, digests=False)],
            seed=3, recipe={"data": {"train": "rows.jsonl", "validation": None, "validation_fraction": 0.2}},
        )  # fmt: skip
    assert compare(home, train).code == 3
    assert compare(home, everything).code == 3
    assert compare(home, NEW).code == 0


def test_digests_are_bounded_and_a_large_set_is_sampled_fairly() -> None:
    """Of 40,000 rows a tenth is known: a leak of 400 rows is found, and what is not there never is."""
    large = rows(*range(40_000))
    digests = row_digests(large)
    assert len(digests) == LIMIT * 8
    found = rows_among(rows(*range(0, 40_000, 100)), digests)
    assert 20 <= len(found) <= 65
    assert rows_among(rows(*range(40_000, 80_000)), digests) == ()
    assert rows_among(large, "no base64!") == ()
