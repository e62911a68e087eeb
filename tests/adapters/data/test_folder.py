"""Folders: no rows are left out without a word, and a fault is said of its own file."""

import json
from pathlib import Path

import pytest

from lorarack.adapters.data import ReadOptions, read_rows, split_rows
from lorarack.adapters.data.source import has_split, hub_id
from lorarack.registry.errors import NotFound, Unavailable, UsageError


def _fill(folder: Path, *names: str) -> Path:
    """A row in each file, whose answer is the file's name."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps({"prompt": name, "completion": name}))
    return folder


def _found(folder: Path, role: str) -> list[str]:
    return [row.completion for row in read_rows(folder, ReadOptions(role=role))]


@pytest.mark.parametrize(
    "name", ["evaluation", "eval", "dev", "val", "valid", "validation", "my_val", "eval2", "dev-00000-of-00001"]
)
def test_usual_names_of_validation_rows(tmp_path: Path, name: str) -> None:
    _fill(tmp_path, "train.jsonl", f"{name}.jsonl")
    assert (_found(tmp_path, "train"), _found(tmp_path, "validation")) == (["train.jsonl"], [f"{name}.jsonl"])


def test_files_whose_names_say_nothing_are_for_training(tmp_path: Path) -> None:
    _fill(tmp_path, "orders.jsonl", "more.jsonl", "test.jsonl")
    assert (_found(tmp_path, "train"), _found(tmp_path, "test")) == (["more.jsonl", "orders.jsonl"], ["test.jsonl"])
    assert [has_split(str(tmp_path), ReadOptions(role=role)) for role in ("validation", "test")] == [False, True]
    with pytest.raises(NotFound, match="has no validation rows"):
        _found(tmp_path, "validation")


@pytest.mark.parametrize("more", ["more.jsonl", "extra/p0.jsonl"])
def test_beside_files_for_training_others_say_what_they_are_for(tmp_path: Path, more: str) -> None:
    folder = _fill(tmp_path / "dy", "train.jsonl", more)
    for ask in (read_rows, lambda source, _: has_split(str(source), ReadOptions(role="validation"))):
        with pytest.raises(UsageError, match=f"In dy, it is not clear what the rows of {more} are for.*into its name"):
            ask(folder, ReadOptions())
    assert [row.completion for row in read_rows(folder, ReadOptions(split="train"))] == ["train.jsonl"]


def test_numbered_files_for_training_belong_together(tmp_path: Path) -> None:
    assert _found(_fill(tmp_path, "train1.jsonl", "train2.jsonl"), "train") == ["train1.jsonl", "train2.jsonl"]


def test_a_folder_that_is_named_for_a_split_holds_it(tmp_path: Path) -> None:
    """Where its files say nothing; a folder that is named for training has no validation rows then."""
    folder = _fill(tmp_path / "dv" / "validation", "p0.jsonl", "p1.jsonl")
    assert _found(folder, "validation") == ["p0.jsonl", "p1.jsonl"]
    assert not has_split(str(folder), ReadOptions(role="validation"))


def _shards(folder: Path, second: str) -> Path:
    """Ten rows, and a second file of which the sixth line is given."""
    row = json.dumps({"prompt": "a {}", "completion": "b"})
    (folder / "sh").mkdir()
    (folder / "sh" / "a.jsonl").write_text("\n".join(row.replace("{}", f"a{number}") for number in range(10)))
    lines = [row.replace("{}", f"b{number}") for number in range(4)]
    (folder / "sh" / "b.jsonl").write_text("\n".join(["", *lines, second]))
    return folder / "sh"


@pytest.mark.parametrize(
    ("line", "said"),
    [('{"prompt": "a", "completion": ""}', "its 'completion' is empty"), ("{oops", "not JSON"), ("[1]", "not a JSON object")],
)  # fmt: skip
def test_a_fault_is_said_of_its_own_file_and_line(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(UsageError, match=rf"^b\.jsonl, line 6: {said}"):
        read_rows(_shards(tmp_path, line))


def test_a_fault_in_the_first_line_of_a_later_file(tmp_path: Path) -> None:
    _fill(tmp_path, "a.jsonl")
    (tmp_path / "b.json").write_text("[{]")
    (tmp_path / "a.jsonl").rename(tmp_path / "a.json")
    with pytest.raises(UsageError, match=r"^b\.json, row 1: not JSON \(.*column 3\)"):
        read_rows(tmp_path)


def test_every_row_knows_its_file_and_line(tmp_path: Path) -> None:
    """Numbers are each used once; a part that is set aside knows as well."""
    rows = read_rows(_shards(tmp_path, '{"prompt": "c", "completion": "d"}'))
    assert len({row.line for row in rows}) == len(rows) == 15
    assert rows.where(rows.rows[9]) == "sh (train), line 10 of a.jsonl"
    assert rows.where(rows.rows[10]) == "sh (train), line 2 of b.jsonl"
    assert rows.where(rows.rows[14]) == "sh (train), line 6 of b.jsonl"
    _, aside = split_rows(rows, 0.5, 0)
    assert {aside.where(row) for row in aside} <= {rows.where(row) for row in rows}


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    _fill(tmp_path, "de/train.jsonl", "en/train.jsonl")
    (tmp_path / "en" / "train.jsonl").write_text("{oops")
    with pytest.raises(UsageError, match=r"^en/train\.jsonl, line 1: "):
        read_rows(tmp_path)


@pytest.mark.parametrize("source", ["wrong/rows.txt", "wrong/rows.xlsx", "wrong/rows.jsonl.gz", "wrong/rows.csv"])
def test_a_name_that_ends_as_files_do_is_a_file(source: str) -> None:
    assert hub_id(source) is None
    with pytest.raises(NotFound, match=f"There is no data file '{source}'"):
        read_rows(source)


def test_a_missing_file_of_a_folder_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the way to a data set of the same name."""
    monkeypatch.chdir(tmp_path)
    _fill(tmp_path / "acme", "orders.jsonl")
    with pytest.raises(NotFound, match=r"'acme' holds no file or folder 'rows'; .* named hf://datasets/acme/rows"):
        read_rows("acme/rows")


def test_the_hub_s_error_says_that_no_file_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Except where only the Hub can be meant."""
    monkeypatch.chdir(tmp_path)

    def offline(*_: object) -> None:
        raise Unavailable("HF_HUB_OFFLINE is set; unset it.", code="offline")

    monkeypatch.setattr("lorarack.adapters.data.hub_dataset.hub_records", offline)
    with pytest.raises(Unavailable) as caught:
        read_rows("acme/rows")
    assert (
        caught.value.message
        == "There is no file or folder 'acme/rows', and on the Hub: HF_HUB_OFFLINE is set; unset it."
    )
    assert caught.value.code == "offline"
    with pytest.raises(Unavailable, match=r"^HF_HUB_OFFLINE"):
        read_rows("hf://datasets/acme/rows")
