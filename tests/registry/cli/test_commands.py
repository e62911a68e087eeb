"""Every command of the registry: a table or a sentence for people, one object or array for programs."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.command_line import Answer, lorarack
from tests.tiny import change_config, tiny_adapter, tiny_base

from lorarack.registry import Metric, Registry, open_registry


@pytest.fixture
def home(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry, named by the environment, with a base and two versions."""
    monkeypatch.setenv("LORARACK_REGISTRY", str(Path(registry.location)))
    monkeypatch.setenv("COLUMNS", "160")
    for seed, rank in enumerate((4, 16)):
        folder = tiny_adapter(tmp_path / f"r{rank}", rank=rank, seed=seed)
        loss = Metric(name="loss", split="validation", value=0.5 - seed / 10)
        registry.publish(folder, "support", base="tiny", metrics=[loss])
    return Path(registry.location)


def one_line(answer: Answer) -> str:
    """The sentence of a command that succeeded and had nothing else to say."""
    assert (answer.code, answer.err) == (0, "")
    (line,) = answer.out.splitlines()
    return line


# Base models


def test_base_add(home: Path, tmp_path: Path) -> None:
    folder = tiny_base(tmp_path / "Other-Base", seed=1)
    made = lorarack("base", "add", folder, "--json").json()
    assert (made["name"], made["path"]) == ("other-base", str(folder))
    assert made["fingerprint"].startswith("sha256:")
    assert "modules" not in made
    assert one_line(lorarack("base", "add", folder)).startswith("Base other-base sha256:")


def test_base_list(home: Path, base_folder: Path) -> None:
    (base,) = lorarack("base", "list", "--json").json()
    assert (base["name"], base["path"], base["architecture"]) == ("tiny", str(base_folder), "LlamaForCausalLM")
    listed = lorarack("base", "list")
    assert listed.code == 0
    for part in ("name", "architecture", "tiny", "LlamaForCausalLM", str(base_folder)):
        assert part in listed.out


def test_an_empty_registry_says_what_to_do_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORARACK_REGISTRY", str(tmp_path))
    open_registry(tmp_path).close()
    assert "lorarack publish" in one_line(lorarack("list"))
    assert "lorarack base add" in one_line(lorarack("base", "list"))
    assert "No aliases yet" in one_line(lorarack("alias", "list"))
    for command in (("list",), ("base", "list"), ("alias", "list")):
        assert lorarack(*command, "--json").json() == []


# Publish


def test_publish(home: Path, tmp_path: Path) -> None:
    folder = tiny_adapter(tmp_path / "new", rank=8, seed=9)
    options = [
        "--metric",
        "eval_loss=0.41",
        "--metric",
        "test/exact=0.9+",
        "--tag",
        "by=me",
        "--description",
        "a :smile: [b]",
    ]
    made = lorarack("publish", folder, "support", "--base", "tiny", *options, "--json").json()
    assert (made["name"], made["version"], made["rank"], made["created"]) == ("support", 3, 8, True)
    assert made["digest"].startswith("sha256:")
    assert (made["tags"], made["description"]) == ({"by": "me"}, "a :smile: [b]")
    found = {(m["name"], m["split"]): (m["value"], m["higher_is_better"]) for m in made["metrics"]}
    assert found == {("loss", "validation"): (0.41, False), ("exact", "test"): (0.9, True)}
    again = lorarack("publish", folder, "support", "--base", "tiny")
    assert again.out.startswith("Already there: support@3 (rank 8, sha256:")
    assert again.err == "Ignored: README.md.\n"


def test_what_is_ignored_is_talk_also_for_programs(home: Path, tmp_path: Path) -> None:
    """Nothing but the object on stdout."""
    folder = tiny_adapter(tmp_path / "new", seed=9)
    answer = lorarack("publish", folder, "other", "--base", "tiny", "--json")
    assert answer.json()["version"] == 1
    assert answer.err == "Ignored: README.md.\n"


def test_publish_says_all_problems(home: Path, tmp_path: Path) -> None:
    folder = change_config(tiny_adapter(tmp_path / "bad"), use_dora=True, bias="all")
    answer = lorarack("publish", folder, "support", "--base", "tiny")
    assert (answer.code, answer.out) == (1, "")
    first, *others = answer.err.splitlines()
    assert first.startswith("error: The folder ")
    assert first.endswith("cannot be published, for 2 reasons:")
    assert [line[:4] for line in others] == ["  - ", "  - "]


# Look


def test_list(home: Path) -> None:
    (adapter,) = lorarack("list", "--json").json()
    assert (adapter["name"], adapter["versions"], adapter["ranks"], adapter["aliases"]) == (
        "support",
        2,
        [4, 16],
        {"default": 1},
    )
    listed = lorarack("list")
    assert listed.code == 0
    for part in ("adapter", "ranks", "support", "4, 16", "default→1"):
        assert part in listed.out


def test_list_of_one_adapter(home: Path) -> None:
    first, second = lorarack("list", "support", "--json").json()
    assert [(v["version"], v["rank"]) for v in (first, second)] == [(1, 4), (2, 16)]
    listed = lorarack("list", "support").out
    for part in ("rank", "eval loss", "support@1", "support@2", "0.5000", "0.4000", "default"):
        assert part in listed
    assert "…" not in listed, "nothing is cut off"


def test_show(home: Path) -> None:
    shown = lorarack("show", "support@r16", "--json").json()
    assert (shown["adapter"], shown["version"], shown["rank"], shown["alpha"]) == ("support", 2, 16, 32.0)
    assert shown["files"][0]["name"] == "adapter_config.json"
    card = lorarack("show", "support").out
    for part in (
        "support@1",
        "(ready)",
        "default",
        "tiny",
        "q_proj, v_proj",
        "eval_loss = 0.5",
        shown["base_fingerprint"][:19],
    ):
        assert part in card


# Aliases


def test_alias_set_list_and_history(home: Path) -> None:
    assert one_line(lorarack("alias", "set", "support@prod", 1)) == "support@prod now names version 1"
    moved = lorarack("alias", "set", "support@prod", 2, "--expect", 1, "--reason", "lower [loss]", "--json").json()
    assert (moved["adapter"], moved["name"], moved["version"], moved["previous"]) == ("support", "prod", 2, 1)
    assert one_line(lorarack("alias", "set", "support@prod", 1)) == "support@prod now names version 1 (was 2)"
    listed = lorarack("alias", "list", "support", "--json").json()
    assert [(alias["name"], alias["version"]) for alias in listed] == [("default", 1), ("prod", 1)]
    assert lorarack("alias", "list", "--json").json() == listed
    history = lorarack("alias", "history", "support@prod", "--json").json()
    assert [(move["version"], move["reason"]) for move in history] == [(1, None), (2, "lower [loss]"), (1, None)]
    assert len(lorarack("alias", "history", "support", "--json").json()) == 4
    for answer in (lorarack("alias", "list"), lorarack("alias", "history", "support@prod")):
        assert answer.code == 0
        for part in ("alias", "version", "support@prod"):
            assert part in answer.out
    assert "lower [loss]" in lorarack("alias", "history", "support").out


# Keep


def test_fetch(home: Path, tmp_path: Path) -> None:
    fetched = lorarack("fetch", "support@r16", tmp_path / "out", "--json").json()
    assert (fetched["adapter"], fetched["version"], fetched["folder"]) == ("support", 2, str(tmp_path / "out"))
    assert json.loads((tmp_path / "out" / "adapter_config.json").read_text())["r"] == 16
    assert one_line(lorarack("fetch", "support", tmp_path / "two")) == f"Fetched support@1 to {tmp_path / 'two'}"


def test_delete(home: Path) -> None:
    deleted = lorarack("delete", "support@2", "--json").json()
    assert (deleted["adapter"], deleted["version"]) == ("support", 2)
    assert [version["version"] for version in lorarack("list", "support", "--json").json()] == [1]


def test_delete_for_people(home: Path) -> None:
    assert one_line(lorarack("delete", "support@2")) == "Deleted support@2"


# What is special in a text


@pytest.mark.parametrize("odd", ["[bold]x", "[/]", "[/x]", ":smile:", "a:key:b", "\\[x]", "quote\"'", "ünï→"])
def test_a_text_is_shown_as_it_was_written(odd: str, home: Path, tmp_path: Path) -> None:
    """Neither markup nor anything else in a text, a path or an error is taken for an instruction."""
    folder = tiny_base(tmp_path / odd / "base", seed=3)
    assert lorarack("base", "add", folder, "--name", "odd", "--json").json()["path"] == str(folder)
    assert lorarack("base", "add", folder).code == 0
    shown: list[Answer] = [lorarack("base", "list")]
    adapter = tiny_adapter(tmp_path / odd / "adapter", seed=3)
    about: list[Any] = ["--tag", f"{odd}={odd}", "--description", odd]
    made = lorarack("publish", adapter, "odd-adapter", "--base", "odd", *about, "--json").json()
    assert (made["tags"], made["description"]) == ({odd: odd}, odd)
    shown.append(lorarack("show", "odd-adapter"))
    target = tmp_path / odd / "out"
    assert lorarack("fetch", "odd-adapter", target, "--json").json()["folder"] == str(target)
    shown.append(lorarack("fetch", "odd-adapter", tmp_path / odd / "out2"))
    lorarack("alias", "set", "odd-adapter@prod", 1, "--reason", odd)
    shown.append(lorarack("alias", "history", "odd-adapter"))
    for answer in shown:
        assert answer.code == 0
        assert odd in answer.out
    failed = lorarack("publish", tmp_path / odd / "nowhere", "x", "--base", "odd")
    assert failed.code == 1
    assert repr(str(tmp_path / odd / "nowhere")) in failed.err
