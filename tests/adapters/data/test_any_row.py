"""Whatever stands in a row, it is read or refused in one sentence with its line."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lorarack.adapters.data import Rows, load_rows
from lorarack.adapters.data.conversation import ROLES
from lorarack.adapters.data.row_keys import MESSAGE_KEYS, OTHER_FORMATS, ROW_KEYS
from lorarack.registry.errors import UsageError

pytestmark = pytest.mark.thorough

TEXT = st.text(st.characters(codec=None, exclude_categories=[]), max_size=6)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.sampled_from(["function", "text", *ROLES]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(TEXT | st.sampled_from(["type", "function", "name"]), inner, max_size=3)
    ),
    max_leaves=8,
)
CALL = st.fixed_dictionaries(
    {"function": st.fixed_dictionaries({"name": JSON, "arguments": JSON})}, optional={"id": JSON, "type": JSON}
)
MESSAGE = st.fixed_dictionaries(
    {
        "role": st.sampled_from(ROLES) | JSON,
        "content": TEXT | JSON | st.lists(st.fixed_dictionaries({"type": JSON}, optional={"text": JSON}), max_size=2),
    },
    optional={
        **dict.fromkeys((*MESSAGE_KEYS, "name", "tool_call_id", "reasoning", "weight", "id"), JSON),
        "tool_calls": st.lists(CALL | JSON, max_size=2) | JSON,
    },
)
ROW = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys((*ROW_KEYS, *OTHER_FORMATS, "label", "prompt", "completion", "documents", "source"), JSON),
        "chat_template_kwargs": JSON,
        "tools": st.lists(CALL | JSON, max_size=2) | JSON,
    },
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(row=ROW | JSON, messages=st.none() | st.lists(MESSAGE, max_size=3))
def test_any_row(tmp_path: Path, row: Any, messages: list[Any] | None) -> None:
    """A row that is read can be written again and is the same row then."""
    if isinstance(row, dict) and messages is not None:
        row = {**row, "messages": [*messages, {"role": "assistant", "content": "yes"}]}
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row) + "\n")
    try:
        rows = load_rows(path)
    except UsageError as error:
        said = error.message
    else:
        said, again = "rows.jsonl", written_again(rows, path)
        assert (again.rows, again.digest, again.rows[0].question) == (rows.rows, rows.digest, rows.rows[0].question)
    assert "rows.jsonl" in said
    assert "\n" not in said


def written_again(rows: Rows, path: Path) -> Rows:
    path.write_text(json.dumps(rows.rows[0].to_json()) + "\n")
    return load_rows(path)


@pytest.mark.parametrize("key", [*ROW_KEYS])
def test_every_key_of_the_table_is_refused_with_its_way_out(tmp_path: Path, key: str) -> None:
    """In rows of both kinds."""
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    for row in ({"messages": messages}, {"prompt": "a", "completion": "b"}):
        path = tmp_path / "rows.jsonl"
        path.write_text(json.dumps({**row, key: "x"}))
        with pytest.raises(UsageError) as caught:
            load_rows(path)
        assert ROW_KEYS[key] in caught.value.message
