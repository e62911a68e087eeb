"""The forms in which people have rows: each is recognised, named in one line, and gives the rows that it means."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from lorarack.adapters.data import ReadOptions, Rows, load_rows, read_rows
from lorarack.registry.errors import NotFound, UsageError

ASKED, ANSWER = {"role": "user", "content": "Sum 2 and 2"}, {"role": "assistant", "content": "4"}
AGAIN, FIVE = {"role": "user", "content": "One more"}, {"role": "assistant", "content": "5"}


def _file(folder: Path, rows: Iterable[object], name: str = "rows.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def _read(folder: Path, *rows: object, **options: Any) -> Rows:
    return read_rows(_file(folder, rows), ReadOptions(**options))


@pytest.mark.parametrize(
    ("row", "shape"),
    [
        ({"instruction": "Sum 2 and 2", "input": "", "output": "4"}, "Alpaca instructions"),
        ({"instruction": "Sum", "input": "2 and 2", "output": "4", "text": "Below is …"}, "Alpaca instructions"),
        ({"instruction": "Sum 2 and 2", "context": "", "response": "4", "category": "qa"}, "Dolly instructions"),
        ({"conversations": [{"from": "human", "value": "Sum 2 and 2"}, {"from": "gpt", "value": "4"}]}, "ShareGPT conversations"),
        ({"conversations": [ASKED, ANSWER]}, "OpenAI messages"),
        ({"messages": [ASKED, ANSWER]}, "OpenAI messages"),
        ({"messages": json.dumps([ASKED, ANSWER])}, "OpenAI messages"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "Sum 2 and 2"}]}, ANSWER]}, "OpenAI messages"),
        ({"prompt": [ASKED], "completion": [ANSWER]}, "TRL conversational prompts and completions"),
    ],
)  # fmt: skip
def test_conversations_of_all_forms_are_the_same_rows(tmp_path: Path, row: dict[str, Any], shape: str) -> None:
    rows = _read(tmp_path, row)
    (found,) = rows
    asked = found.messages[-1].text.replace("Sum\n\n2", "Sum 2")
    assert ([message.role for message in found.messages], asked, found.completion) == (["user"], "Sum 2 and 2", "4")
    assert rows.described == f"rows.jsonl: rows are {shape}: 1 rows, loss on the assistant's answer."


@pytest.mark.parametrize("row", [{"prompt": "2 + 2 =", "completion": " 4"}, {"instruction": "2 + 2 =", "output": " 4"}])
def test_plain_prompts_and_conversations_on_request(tmp_path: Path, row: dict[str, Any]) -> None:
    """``chat`` decides, in both directions; an empty line parts an Alpaca row's prompt from its answer."""
    (chat,) = _read(tmp_path, row, chat=True)
    assert (chat.prompt_messages, chat.completion) == ([{"role": "user", "content": "2 + 2 ="}], " 4")
    (plain,) = _read(tmp_path, row, chat=False)
    assert (plain.prompt or "").rstrip("\n") == "2 + 2 ="
    assert (plain.completion, plain.messages) == (" 4", ())
    with pytest.raises(UsageError, match="leave it out"):
        _read(tmp_path, {"messages": [ASKED, ANSWER]}, chat=False)


def test_alpaca_rows_with_a_system_text_and_earlier_turns(tmp_path: Path) -> None:
    """LLaMA-Factory's columns."""
    row = {"instruction": "c", "input": "", "output": "d", "system": "s", "history": [["a", "b"]]}
    (found,) = _read(tmp_path, row)
    assert [(message.role, message.text) for message in found.messages] == [
        ("system", "s"),
        ("user", "a"),
        ("assistant", "b"),
        ("user", "c"),
    ]


def test_sharegpt_with_a_system_text_and_tools(tmp_path: Path) -> None:
    """A system text beside the turns, a call, what came of it, and tools as a text of JSON."""
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}
    row = {
        "system": "s",
        "tools": json.dumps([tool]),
        "conversations": [
            {"from": "human", "value": "Weather in Paris?"},
            {"from": "function_call", "value": '{"name": "get_weather", "arguments": {"city": "Paris"}}'},
            {"from": "observation", "value": '{"t": 20}'},
            {"from": "gpt", "value": "20 degrees."},
        ],
    }
    (found,) = _read(tmp_path, row)
    assert [message.role for message in found.messages] == ["system", "user", "assistant", "tool"]
    assert found.messages[2].tool_calls[0].arguments == '{"city": "Paris"}'
    assert found.options.to_json() == {"tools": [tool]}


def test_plain_texts_are_learned_whole_and_only_where_it_is_clear(tmp_path: Path) -> None:
    rows = _read(tmp_path, {"text": "### Human: hi ### Assistant: hello", "source": "x"})
    assert (rows.rows[0].kind, rows.rows[0].question) == ("text", "### Human: hi ### Assistant: hello")
    assert rows.described == "rows.jsonl: rows are plain texts: 1 rows, loss on the whole text."
    assert rows.digest == _read(tmp_path, rows.rows[0].to_json()).digest
    with pytest.raises(UsageError, match="plain texts, which have no answers"):
        load_rows(tmp_path / "rows.jsonl")
    with pytest.raises(UsageError, match=r"'text' and 'label'.*columns: {text: text}"):
        _read(tmp_path, {"text": "a", "label": 1})
    assert _read(tmp_path, {"text": "a", "label": 1}, columns={"text": "text"}).rows[0].completion == "a"


def test_every_answer_or_the_last(tmp_path: Path) -> None:
    """Said in the line; weights of 0 leave answers out; a greeting before the first question answers nothing."""
    hello = {"role": "assistant", "content": "Hello!"}
    turns = {"messages": [hello, ASKED, ANSWER, AGAIN, FIVE]}
    last, every = _read(tmp_path, turns), _read(tmp_path, turns, answers="every")
    assert [row.completion for row in last] == ["5"]
    assert last.described.endswith("1 rows, 3 answers, loss on the last of each row (answers: every learns them all).")
    assert [(len(row.messages), row.completion) for row in every] == [(2, "4"), (4, "5")]
    assert every.described.endswith("1 rows, 3 answers, loss on 2 of them.")
    weighted = {"messages": [ASKED, {**ANSWER, "weight": 0}, AGAIN, {**FIVE, "weight": 1}]}
    assert [row.completion for row in _read(tmp_path, weighted, answers="every")] == ["5"]
    unlearned = {"messages": [ASKED, {**ANSWER, "weight": 0}]}
    with pytest.raises(UsageError, match="all its answers have weight 0"):
        _read(tmp_path, unlearned, answers="every")
    halves = {"prompt": [ASKED, ANSWER, AGAIN], "completion": [FIVE]}
    assert [row.completion for row in _read(tmp_path, halves, answers="every")] == ["5"]


def test_columns_say_what_their_names_do_not(tmp_path: Path) -> None:
    """Named columns alone are read; the others are passed over and counted; a number is an answer like any other."""
    rows = _read(
        tmp_path, {"utterance": "hi", "intent": 7, "id": 1}, columns={"prompt": "utterance", "completion": "intent"}
    )
    assert (rows.rows[0].prompt, rows.rows[0].completion, rows.passed_over) == ("hi", "7", {"id": 1})
    with pytest.raises(UsageError, match=r"line 1: it has no column 'utterence'.*did you mean 'utterance'\?"):
        _read(tmp_path, {"utterance": "hi", "intent": 7}, columns={"prompt": "utterence", "completion": "intent"})


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"question": "a", "answer": "b"}, "--column prompt=question --column completion=answer"),
        ({"prompt": "a", "response": "b"}, "'columns: {prompt: prompt, completion: response}'"),
        ({"utterance": "a", "wanted": "b"}, "its columns are 'utterance', 'wanted'"),
        ({"messages": [ASKED, ANSWER], "prompt": "a"}, "'columns: {messages: messages}'"),
        ({"prompt": "a", "chosen": "b", "rejected": "c"}, "preference pair"),
        ({"conversations": [{"from": "alien", "value": "a"}, {"from": "gpt", "value": "b"}]}, "from 'alien'"),
        ({"conversations": [{"from": "human", "value": "a"}, {"from": "gpt"}]}, "its turn 2 is not"),
        ({"conversations": [{"from": "human", "value": "a"}, {"from": "function_call", "value": "[1]"}]}, "not a call"),
        ({"instruction": ["a"], "output": "b"}, "'instruction' is not a text but a list; write a text"),
        ({"instruction": "", "input": "", "output": "b"}, "'instruction' is empty"),
        ({"instruction": "a", "output": "b", "history": ["x"]}, "'history' is not"),
    ],
)
def test_what_is_not_clear_is_refused_with_the_near_fix(tmp_path: Path, row: object, said: str) -> None:
    with pytest.raises(UsageError, match=r"rows\.jsonl, line 1: ") as caught:
        _read(tmp_path, row)
    assert said in caught.value.message
    assert "\n" not in caught.value.message


def test_a_json_array_holds_the_rows_of_the_lines(tmp_path: Path) -> None:
    rows = [{"prompt": "a", "completion": "b"}, {"prompt": "c", "completion": "d"}]
    (tmp_path / "rows.json").write_text(json.dumps(rows, indent=2))
    found = read_rows(tmp_path / "rows.json")
    assert found.digest == _read(tmp_path, *rows).digest
    assert found.where(found.rows[1]) == "rows.json, row 2"
    (tmp_path / "rows.json").write_text('[{"prompt": "a", "completion": "b"}, {"prompt": "a"}]')
    with pytest.raises(UsageError, match=r"rows\.json, row 2: it has no 'completion'"):
        read_rows(tmp_path / "rows.json")


def test_cells_of_a_csv_are_texts_as_they_stand(tmp_path: Path) -> None:
    """Quoted commas, line ends and quotes; leading zeros, NA and None; a byte-order mark; semicolons, which are said."""
    path = tmp_path / "rows.csv"
    path.write_text('\ufeffprompt,completion,note\r\n"a, ""b""\nc",007,x\r\n\r\nd,NA,\r\n', newline="")
    rows = read_rows(path)
    assert [(row.prompt, row.completion, row.line) for row in rows] == [('a, "b"\nc', "007", 2), ("d", "NA", 5)]
    assert (rows.passed_over, rows.notes) == ({"note": 1}, ())
    path.write_text("prompt;completion\na, b;None\n")
    rows = read_rows(path)
    assert (rows.rows[0].prompt, rows.rows[0].completion) == ("a, b", "None")
    assert rows.notes == ("rows.csv: semicolons part its cells.",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no rows"),
        ("prompt,completion\n", "no rows"),
        ("prompt,completion\na\n", "line 2: it has 1 cells and the header 2"),
        ("prompt,completion\na,b\nc,d,e\n", "line 3: it has 3 cells"),
        ("prompt,prompt\na,b\n", "two columns of one name, 'prompt'"),
        ("prompt,\na,b\n", "its columns are 'prompt', 'column 2'"),
        ('prompt,completion\n"a,b\n', "line 2: not CSV"),
        ("prompt,completion\na,\n", "line 2: its 'completion' is empty"),
        ("hello there,bye\na,b\n", "its columns are 'hello there', 'bye'"),
    ],
)
def test_what_is_wrong_with_a_csv_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_rows(path)
    assert said in caught.value.message
    assert "rows.csv" in caught.value.message


def test_parquet_has_the_rows_of_its_json_and_names_of_labels(tmp_path: Path) -> None:
    """A table writes every key into every row, also of messages; null is what a row of JSON does not have."""
    datasets = pytest.importorskip("datasets")
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    called = {"role": "assistant", "content": None, "tool_calls": [call]}
    chat = [
        {"messages": [ASKED, ANSWER]},
        {"messages": [ASKED, called, {"role": "tool", "tool_call_id": "c", "content": "4"}, ANSWER]},
    ]
    datasets.Dataset.from_list(chat).to_parquet(tmp_path / "rows.parquet")
    assert read_rows(tmp_path / "rows.parquet").digest == _read(tmp_path, *chat).digest
    features = datasets.Features({"text": datasets.Value("string"), "intent": datasets.ClassLabel(names=["no", "yes"])})
    datasets.Dataset.from_dict({"text": ["a"], "intent": [1]}, features).to_parquet(tmp_path / "labels.parquet")
    columns = {"prompt": "text", "completion": "intent"}
    assert read_rows(tmp_path / "labels.parquet", ReadOptions(columns=columns)).rows[0].completion == "yes"
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "rows.parquet").read_bytes()[:-9])
    with pytest.raises(UsageError, match=r"cut\.parquet is not Parquet"):
        read_rows(tmp_path / "cut.parquet")


def test_a_folder_has_its_splits_by_name(tmp_path: Path) -> None:
    """Several files of a split are read in order; a file that stands in ``data/`` as well."""
    for name, prompts in (("train-00000-of-00002", "ab"), ("train-00001-of-00002", "cd"), ("test", "e")):
        (tmp_path / "data").mkdir(exist_ok=True)
        _file(tmp_path / "data", [{"prompt": prompt, "completion": "x"} for prompt in prompts], f"{name}.jsonl")
    (tmp_path / "dataset_infos.json").write_text("{}")
    assert [row.prompt for row in read_rows(tmp_path)] == [*"abcd"]
    assert [row.prompt for row in read_rows(tmp_path, ReadOptions(role="test"))] == ["e"]
    with pytest.raises(NotFound, match="has no validation rows; it holds"):
        read_rows(tmp_path, ReadOptions(role="validation"))
    (tmp_path / "data" / "train.csv").write_text("prompt,completion\n")
    with pytest.raises(UsageError, match="name one of them"):
        read_rows(tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\x03\x04xx", "Excel"),
        (b"\x1f\x8b\x08", "gunzip"),
        (b"\x80\x04\x95", "never read"),
        (b"ARROW1\0", "Parquet"),
    ],
)
def test_files_that_are_no_text_are_named(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "rows.xlsx").write_bytes(content)
    with pytest.raises(UsageError, match=said):
        read_rows(tmp_path / "rows.xlsx")


def test_a_mistyped_path_never_goes_to_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lorarack.adapters.data.hub_dataset.hub_records", lambda *_: pytest.fail("asked"))
    monkeypatch.chdir(tmp_path)
    for source in (
        "data/trian.jsonl",
        "rows",
        "/some/where",
        "a/b/c",
        "../a/b",
        "data/rows.parquet",
        tmp_path / "a" / "b",
    ):
        with pytest.raises(NotFound):
            read_rows(source)
