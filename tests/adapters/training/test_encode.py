"""Rows become the tokens that a server sees, with loss on the completion alone."""

from pathlib import Path
from typing import Any

import pytest

from lorarack.adapters.data import Message, Row, Rows, ToolCall
from lorarack.registry.errors import UsageError

pytestmark = pytest.mark.torch

TEMPLATE = (
    "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


@pytest.fixture
def tokenizer(tiny_folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_folder)


CHAT = Row(completion="four", messages=(Message("user", "2 + 2?"),))


def test_only_the_completion_carries_loss(tokenizer: Any) -> None:
    """Labels hide the prompt and show the answer with the token that ends it."""
    from lorarack.adapters.training.encode import NO_LOSS, encode_row

    row = encode_row(Row(prompt="ab:", completion="cd"), tokenizer).features()
    shown = [label for label in row["labels"] if label != NO_LOSS]
    assert row["labels"][:3] == [NO_LOSS] * 3
    assert tokenizer.decode(shown) == "cd</s>"
    assert row["input_ids"][3:] == shown


def test_a_conversation_is_what_the_server_will_see(tokenizer: Any) -> None:
    """The prompt is the template's with the assistant's turn opened; the answer ends where the server stops."""
    from lorarack.adapters.training.encode import encode_row

    tokenizer.chat_template = TEMPLATE
    encoded = encode_row(CHAT, tokenizer)
    served = tokenizer.apply_chat_template(CHAT.prompt_messages, add_generation_prompt=True, return_dict=False)
    assert list(encoded.prompt) == served
    assert tokenizer.decode(encoded.completion) == "four</s>"


def test_a_template_that_rewrites_past_turns_does_not_spoil_the_answer(tokenizer: Any) -> None:
    """Some templates drop or add text in finished turns; what is learned is still the plain answer and its end."""
    from lorarack.adapters.training.encode import encode_row

    tokenizer.chat_template = TEMPLATE.replace("{{ m['content'] }}", "[{{ m['content'] }}]")
    assert tokenizer.decode(encode_row(CHAT, tokenizer).completion) == "four</s>"


def test_conversations_need_a_chat_template(tokenizer: Any) -> None:
    from lorarack.adapters.training.encode import encode_rows

    with pytest.raises(UsageError, match="no chat template"):
        encode_rows(Rows("rows.jsonl", (CHAT,)), tokenizer, 64)


def test_long_rows_are_refused_not_cut(tokenizer: Any) -> None:
    """A cut answer would be learned as a whole one."""
    from lorarack.adapters.training.encode import encode_rows

    rows = Rows("rows.jsonl", (Row(prompt="a", completion="b"), Row(prompt="a" * 40, completion="b" * 40)))
    with pytest.raises(UsageError, match=r"1 rows of rows.jsonl .* row 2, the longest has 81"):
        encode_rows(rows, tokenizer, 64)


TRIMS = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content | trim }}#\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


@pytest.mark.parametrize("stops", ["eos alone", "# as well"])
def test_every_answer_of_a_data_set_ends_alike(tokenizer: Any, stops: str) -> None:
    """A template that trims, and whose turns end with another token than the tokenizer's: its end is learned, for every answer."""
    from lorarack.adapters.training.answer_end import AnswerEnd
    from lorarack.adapters.training.encode import encode_rows

    tokenizer.chat_template = TRIMS
    hash_id = tokenizer.convert_tokens_to_ids("#")
    end = AnswerEnd.of(tokenizer, [2, hash_id] if stops == "# as well" else [2])
    answers = ("a", "a\n", "\na ", "a")
    rows = Rows("rows.jsonl", tuple(Row(answer, messages=(Message("user", "x"),)) for answer in answers))
    said = {tokenizer.decode(row.completion) for row in encode_rows(rows, tokenizer, 64, end)}
    assert said == ({"a#"} if stops == "# as well" else {"a#\n</s>"})
    assert (end.note is None) == (stops == "# as well")
    assert {tokenizer.decode(row.completion) for row in encode_rows(rows, tokenizer, 64)} == {"a#\n"}


def test_a_template_without_an_end_gets_the_tokenizers(tokenizer: Any) -> None:
    from lorarack.adapters.training.encode import encode_row

    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}\n{% endfor %}"
    assert tokenizer.decode(encode_row(CHAT, tokenizer).completion) == "four</s>"


def test_called_tools_are_learned_as_the_template_writes_them(tokenizer: Any) -> None:
    """Calls and reasoning come after the prompt, up to the end token, whatever follows it."""
    from lorarack.adapters.training.encode import encode_row

    tokenizer.chat_template = (
        "{% for m in messages %}<{{ m.role }}>{% if m.reasoning %}({{ m.reasoning }}){% endif %}{{ m.content }}"
        "{% for c in m.tool_calls or [] %}*{{ c.function.name }}{{ c.function.arguments.n }}{% endfor %}</s>\n"
        "{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    call = ToolCall("get", '{"n": 1}', "c1")
    answer = Message("assistant", None, (call,), reasoning="hm")
    encoded = encode_row(Row("", messages=CHAT.messages, answer=answer), tokenizer)
    assert tokenizer.decode(encoded.completion) == "(hm)*get1</s>"


@pytest.mark.parametrize("row", [Row("a</s>", prompt="b"), Row("a</s>b", messages=CHAT.messages)])
def test_an_end_token_inside_an_answer_is_refused(tokenizer: Any, row: Row) -> None:
    """A server stops there; and at its end it would be learned twice."""
    from lorarack.adapters.training.encode import encode_row

    tokenizer.chat_template = TEMPLATE
    with pytest.raises(UsageError, match="holds '</s>', at which a server stops"):
        encode_row(row, tokenizer)


def test_a_tokenizer_without_an_end_token_is_one_sentence(tokenizer: Any) -> None:
    from lorarack.adapters.training.answer_end import AnswerEnd
    from lorarack.adapters.training.encode import encode_row

    tokenizer.eos_token = None
    with pytest.raises(UsageError, match="has no end token"):
        encode_row(Row("a", prompt="b"), tokenizer)
    with pytest.raises(UsageError, match="has no end token"):
        AnswerEnd.of(tokenizer, [-1, 10**6])
    known = AnswerEnd.of(tokenizer, [2])
    assert tokenizer.decode(encode_row(Row("a", prompt="b"), tokenizer, known).completion) == "a</s>"


def test_a_text_is_learned_whole_with_an_end(tokenizer: Any) -> None:
    """With what the tokenizer puts in front; special tokens that the text has are not written twice."""
    from lorarack.adapters.training.encode import encode_row

    begun = encode_row(Row("ab"), tokenizer)
    assert (tokenizer.decode(begun.prompt), tokenizer.decode(begun.completion)) == ("", "ab</s>")
    own = encode_row(Row("<s>ab</s>cd</s>"), tokenizer)
    assert tokenizer.decode([*own.prompt, *own.completion]) == "<s>ab</s>cd</s>"
    assert own.learned == 7


def test_all_answers_of_a_conversation_are_one_sequence_where_the_template_lets_them(tokenizer: Any) -> None:
    """The same tokens with the same loss as a row for each; a template that rewrites earlier turns gets a row for each."""
    from lorarack.adapters.training.encode import NO_LOSS, encode_rows

    turns = (Message("user", "a"), Message("assistant", "bc"), Message("user", "d"))
    first, second = Row("bc", messages=turns[:1], line=1), Row("e", messages=turns, line=1)
    rows = Rows("rows.jsonl", (first, second, Row("bc", messages=turns[:1], line=2)))
    tokenizer.chat_template = TEMPLATE
    joined = encode_rows(rows, tokenizer, 256)
    alone = [encode_rows(Rows("r", (row,)), tokenizer, 256)[0] for row in rows]
    assert len(joined) == 2
    assert joined[0].learned == alone[0].learned + alone[1].learned
    features = joined[0].features()
    shown = tokenizer.decode([label for label in features["labels"] if label != NO_LOSS])
    assert (features["input_ids"], shown) == (alone[1].features()["input_ids"], "bc</s>e</s>")
    tokenizer.chat_template = (
        "{% for m in messages %}{% if m.role == 'user' or loop.last %}<{{ m['role'] }}>{{ m['content'] }}</s>"
        "{% endif %}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    assert [row.learned for row in encode_rows(rows, tokenizer, 256)] == [row.learned for row in alone]


def test_long_rows_are_left_out_on_request(tokenizer: Any) -> None:
    from lorarack.adapters.training.encode import encode_rows

    rows = Rows("rows.jsonl", (Row(prompt="a", completion="b"), Row(prompt="a" * 40, completion="b" * 40)))
    assert len(encode_rows(rows, tokenizer, 64, drop=True)) == 1
    with pytest.raises(UsageError, match="All rows"):
        encode_rows(Rows("rows.jsonl", rows.rows[1:]), tokenizer, 64, drop=True)
