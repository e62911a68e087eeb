"""Finding, comparing and moving versions on the command line."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.command_line import lorarack
from tests.registry.shelf import Shelf
from tests.tiny import tiny_adapter, tiny_base

from lorarack.registry.cli.parsing import parse_moment, parse_ranks
from lorarack.registry.cli.versions import bar


@pytest.fixture
def home(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry, named by the environment, with a rank family of ``support`` and one more adapter."""
    monkeypatch.setenv("LORARACK_REGISTRY", str(Path(shelf.registry.location)))
    monkeypatch.setenv("COLUMNS", "160")
    for rank, loss in ((4, 0.5), (8, 0.43), (16, 0.41), (32, None)):
        shelf.put(rank=rank, loss=loss, exact=None if loss is None else 1 - loss, tags={"recipe": "r"})
    shelf.put("other", loss=0.3, description="about [refunds]")
    return Path(shelf.registry.location)


# Search and best


def test_search(home: Path) -> None:
    found = lorarack("search", "--rank", "8..", "--metric", "eval_loss<0.5", "--sort", "eval_loss", "--json").json()
    assert [(v["adapter"], v["version"]) for v in found["versions"]] == [("support", 3), ("support", 2)]
    assert found["next"] is None
    shown = lorarack("search", "--tag", "recipe=r", "--since", "1d", "--state", "ready", "--base", "tiny")
    assert shown.code == 0
    assert shown.out.index("support@4") < shown.out.index("support@1")
    assert "other@1" not in shown.out
    assert lorarack("search", "--text", "REFUNDS", "--json").json()["versions"][0]["adapter"] == "other"


def test_search_goes_on_behind_a_page(home: Path) -> None:
    first = lorarack("search", "--limit", 3, "--json").json()
    second = lorarack("search", "--limit", 3, "--cursor", first["next"], "--json").json()
    assert [v["engine_id"] for v in (*first["versions"], *second["versions"])] == [5, 4, 3, 2, 1]
    assert second["next"] is None
    assert f"--cursor '{first['next']}'" in lorarack("search", "--limit", 3).err


def test_search_finds_nothing(home: Path) -> None:
    assert lorarack("search", "--until", "2020-01-01").out == "Nothing found.\n"
    assert lorarack("search", "--until", "2020-01-01", "--json").json() == {"versions": [], "next": None}


def test_best(home: Path) -> None:
    best = lorarack("best", "support", "--metric", "eval_loss", "--json").json()
    assert (best["adapter"], best["version"], best["rank"], best["value"], best["lacking"]) == (
        "support",
        3,
        16,
        0.41,
        1,
    )
    answer = lorarack("best", "support", "--metric", "test/exact")
    assert answer.out == "support@3 (rank 16) has test/exact 0.5900\n"
    assert answer.err == "1 ready version does not have it.\n"


def test_list_shows_the_rank_family_best_first_with_a_bar(home: Path, shelf: Shelf) -> None:
    shelf.put(rank=2, loss=0.45)  # of another recipe
    lines = [line.split() for line in lorarack("list", "support").out.splitlines() if "support@" in line]
    shown = [(line[0], line[1], line[4] if "█" in line[4] else "") for line in lines]
    assert shown == [
        ("support@3", "16", "█"),
        ("support@2", "8", "███"),
        ("support@1", "4", "█" * 10),
        ("support@4", "32", ""),
        ("support@5", "2", "█" * 5),
    ]
    assert [v["version"] for v in lorarack("list", "support", "--json").json()] == [1, 2, 3, 4, 5]


def test_a_bar_needs_no_spread() -> None:
    assert bar(0.5, [0.5]) == bar(0.5, [0.5, 0.5]) == "█"
    assert bar(1.7e308, [-1.7e308, 1.7e308]) == "█" * 10


# Promote and roll back


def test_promote_and_rollback(home: Path) -> None:
    moved = lorarack("promote", "support@2", "prod", "--require", "eval_loss", "--reason", "first", "--json").json()
    assert (moved["adapter"], moved["name"], moved["version"], moved["previous"]) == ("support", "prod", 2, None)
    shown = lorarack("promote", "support@r16", "prod", "--require", "eval_loss", "--min-gain", "0.02").out
    assert shown.startswith(
        "support@prod now names version 3 (was 2)\neval_loss of support@3 is 0.41, of support@2 0.43"
    )
    refused = lorarack("promote", "support@1", "prod", "--require", "eval_loss", "--json")
    assert refused.code == 3
    assert json.loads(refused.err)["error"]["code"] == "gate_refused"
    forced = lorarack("promote", "support@1", "prod", "--require", "eval_loss", "--force", "--json").json()
    assert (forced["version"], forced["forced"]) == (1, True)
    assert lorarack("rollback", "support@prod", "--reason", "[bad]", "--json").json()["version"] == 3
    assert (
        lorarack("rollback", "support@prod").out
        == "support@prod now names version 2 (was 3)\nrolled back from version 3\n"
    )


# Diff, lineage, tags, events, linked bases


def test_diff(home: Path) -> None:
    found = lorarack("diff", "support@1", "support@3", "--json").json()
    assert (found["a"], found["b"], len(found["modules"])) == ("support@1", "support@3", 4)
    shown = lorarack("diff", "support@1", "support@3").out
    for part in (
        "configuration",
        "rank",
        "16",
        "eval_loss",
        "-0.09",
        "better",
        "worse",
        "tags: equal",
        "self_attn.q_proj",
    ):
        assert (part in shown) == (part != "worse")
    assert "measured" not in shown


def test_diff_shows_the_modules_that_differ_most(home: Path, tmp_path: Path) -> None:
    from tests.tiny import ALL_LINEAR

    folder = tiny_adapter(tmp_path / "all", targets=ALL_LINEAR)
    lorarack("publish", folder, "support", "--base", "tiny")
    assert "4 more with a smaller difference: --all shows them." in lorarack("diff", "support@1", "support@5").out
    assert lorarack("diff", "support@1", "support@5", "--all").out.count("model.layers") == 14


def test_lineage(home: Path, tmp_path: Path) -> None:
    made = lorarack(
        "publish", tiny_adapter(tmp_path / "c", seed=70), "child", "--base", "tiny",
        "--parent", "support@1:resized", "--parent", "support@2", "--json",
    ).json()  # fmt: skip
    assert made["parents"] == [
        {"version": "support@1", "relation": "resized"},
        {"version": "support@2", "relation": "derived"},
    ]
    lorarack("publish", tiny_adapter(tmp_path / "g", seed=71), "grand", "--base", "tiny", "--parent", "child@1:merged")
    found = lorarack("lineage", "child", "--json").json()
    assert found["ancestors"] == [
        {"child": "child@1", "parent": "support@1", "relation": "resized"},
        {"child": "child@1", "parent": "support@2", "relation": "derived"},
    ]
    assert found["descendants"] == [{"child": "grand@1", "parent": "child@1", "relation": "merged"}]
    assert found["base"] == ["tiny"]
    assert lorarack("lineage", "support@1").out.splitlines() == [
        "support@1 (rank 4, ready) on base tiny",
        "derived from: no version known here",
        "derived from it",
        "└── child@1  resized from it",
        "    └── grand@1  merged from it",
    ]
    assert "derived from it: nothing yet" in lorarack("lineage", "grand").out


def test_tag(home: Path) -> None:
    tagged = lorarack(
        "tag", "support@1", "by=me", "x=[y]", "--remove", "recipe", "--description", "a [b]", "--json"
    ).json()
    assert (tagged["tags"], tagged["description"]) == ({"by": "me", "x": "[y]"}, "a [b]")
    assert lorarack("tag", "support@1", "--remove", "x").out == "support@1 by=me\na [b]\n"
    assert lorarack("tag", "support@1", "--remove", "by", "--description", "").out == "support@1 no tags\n"


def test_events(home: Path) -> None:
    lorarack("alias", "set", "support@prod", 2, "--reason", "[why]")
    events = lorarack("events", "support", "--json").json()
    assert [event["kind"] for event in events[:3]] == ["published", "alias_moved", "published"]
    (last,) = lorarack("events", "--after", events[-2]["cursor"], "--json").json()[-1:]
    assert (last["kind"], last["version"], last["detail"]["reason"]) == ("alias_moved", 2, "[why]")
    shown = lorarack("events", "--limit", 2)
    assert len(shown.out.splitlines()) == 2
    assert shown.err == "There may be more: add --after 2\n"
    assert "[why]" in lorarack("events", "support").out
    assert lorarack("events", "--after", 10**30).out == "Nothing happened.\n"


def test_events_are_followed_until_told_to_stop(home: Path) -> None:
    """Each as one line as it happens, also when they go to a pipe."""
    command = [
        sys.executable,
        "-m",
        "lorarack.registry.cli.main",
        "events",
        "support",
        "--follow",
        "--json",
        "--after",
        "8",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ}) as process:
        assert process.stdout is not None
        lorarack("alias", "set", "support@prod", 2)
        seen: dict[str, object] = {}
        while seen.get("kind") != "alias_moved" or seen.get("version") != 2:
            seen = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0


def test_base_link(home: Path, tmp_path: Path) -> None:
    lorarack("base", "add", tiny_base(tmp_path / "tiny-awq", seed=3))
    linked = lorarack("base", "link", "tiny-awq", "--original", "tiny", "--relation", "quantized", "--json").json()
    assert (linked["name"], linked["original"], linked["relation"]) == ("tiny-awq", "tiny", "quantized")
    shown = lorarack("base", "link", "tiny-awq", "--original", "tiny", "--relation", "converted").out
    assert shown == "Base tiny-awq is tiny, converted\n"
    assert "tiny, converted" in lorarack("base", "list").out
    lorarack("publish", tiny_adapter(tmp_path / "q", seed=72), "quick", "--base", "tiny-awq")
    assert "on base tiny-awq ← tiny" in lorarack("lineage", "quick").out


# Words


def test_ranges_of_ranks() -> None:
    assert [parse_ranks(text) for text in ("16", "8..64", "8..", "..64")] == [(16, 16), (8, 64), (8, None), (None, 64)]


def test_moments() -> None:
    assert parse_moment("2026-11-25").isoformat() == "2026-11-25T00:00:00+00:00"
    assert parse_moment("2026-11-25T14:30+02:00").isoformat() == "2026-11-25T12:30:00+00:00"
    assert parse_moment("7d") < parse_moment("12h") < parse_moment("30min")
    assert parse_moment("999999d").year == 1
