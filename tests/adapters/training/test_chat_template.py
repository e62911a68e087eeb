"""The prompt that is trained is the prompt that vLLM makes of the same row: token for token, or the row is refused."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.adapters.training.conftest import one_row

from lorarack.registry.errors import UsageError

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore:`torch.jit.script_method`")]  # as vLLM is imported

#: Writes calls, results and tools as JSON, as templates of Qwen's and Llama's kind do.
CALLS = (
    "{% if tools %}{% for tool in tools %}<tool>{{ tool | tojson }}</tool>{% endfor %}{% endif %}"
    "{% for d in documents or [] %}<doc>{{ d.title }}: {{ d.text }}</doc>{% endfor %}"
    "{% if mood is defined %}<mood>{{ mood }}</mood>{% endif %}"
    "{% for m in messages %}<{{ m.role }}>{% if m.name is defined %}({{ m.name }}){% endif %}"
    "{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}{{ m.content }}"
    "{% for call in m.tool_calls or [] %}<call>{{ call.function.name }} {{ call.function.arguments | tojson }}</call>{% endfor %}"
    "</s>\n{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)
#: Loops over the parts of a content.
PARTS = (
    "{% for m in messages %}<{{ m['role'] }}>{% for part in m['content'] %}[{{ part['text'] }}]{% endfor %}</s>"
    "{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)
#: The same, where contents may also be texts.
EITHER = (
    "{% for m in messages %}<{{ m.role }}>{% if m.content is string %}{{ m.content }}{% else %}"
    "{% for part in m.content %}{{ part.text }}{% endfor %}{% endif %}</s>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
MACRO = (
    "{% macro show(content) %}{% for part in content %}({{ part.text }}){% endfor %}{% endmacro %}"
    "{% for m in messages %}<{{ m.role }}>{{ show(m.content) }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
#: Knows who a developer is.
DEVELOPER = (
    "{% for m in messages %}<{{ 'boss' if m.role == 'developer' else m.role }}>{{ m.content }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
MARKED = (
    "{% for m in messages %}<{{ m.role }}>{% generation %}{{ m.content | trim }}{% endgeneration %}</s>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)

ASKED: dict[str, Any] = {"role": "user", "content": "what is it?"}
CALL: dict[str, Any] = {"id": "c1", "type": "function", "function": {"name": "get", "arguments": '{"n": 1, "s": "é"}'}}
CALLED: dict[str, Any] = {"role": "assistant", "content": "", "tool_calls": [CALL]}
RESULT: dict[str, Any] = {"role": "tool", "tool_call_id": "c1", "name": "get", "content": "42"}
ANSWER: dict[str, Any] = {"role": "assistant", "content": "it is 42."}
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "get", "parameters": {"type": "object", "properties": {"n": {}}}},
}
PIECES: dict[str, Any] = {
    "role": "user",
    "content": [{"type": "text", "text": "a"}, {"type": "text", "text": ""}, {"type": "text", "text": "b"}],
}

SAME: dict[str, tuple[str, dict[str, Any]]] = {
    "calls": (CALLS, {"messages": [ASKED, CALLED, RESULT, ANSWER]}),
    "calls without content": (CALLS, {"messages": [ASKED, {**CALLED, "content": None}, RESULT, ANSWER]}),
    "no calls at all": (CALLS, {"messages": [ASKED, {**ANSWER, "tool_calls": []}, ASKED, ANSWER]}),
    "tools": (CALLS, {"messages": [ASKED, ANSWER], "tools": [TOOL]}),
    "tools with more": (
        CALLS,
        {
            "messages": [ASKED, CALLED, RESULT, ANSWER],
            "tools": [
                {"type": "function", "function": {"strict": True, **TOOL["function"], "description": "x", "return": {}}}
            ],
        },
    ),
    "documents": (CALLS, {"messages": [ASKED, ANSWER], "documents": [{"title": "t", "text": "x"}]}),
    "template arguments": (CALLS, {"messages": [ASKED, ANSWER], "chat_template_kwargs": {"mood": "fine"}}),
    "reasoning": (CALLS, {"messages": [ASKED, {**ANSWER, "reasoning": "hm"}, ASKED, ANSWER]}),
    "names": (CALLS, {"messages": [{**ASKED, "name": "ann"}, ANSWER]}),
    "nulls": (
        CALLS,
        {"messages": [{**ASKED, "name": None}, {**ANSWER, "tool_calls": None, "refusal": None}], "tools": None},
    ),
    "parts joined": (CALLS, {"messages": [PIECES, ANSWER]}),
    "parts of a result": (PARTS, {"messages": [ASKED, {**RESULT, "content": PIECES["content"]}, ANSWER]}),
    **{
        f"parts {number}": (template, {"messages": [{"role": "system", "content": ""}, PIECES, ANSWER, ASKED, ANSWER]})
        for number, template in enumerate((PARTS, EITHER, MACRO, MARKED))
    },
    "developer": (DEVELOPER, {"messages": [{"role": "developer", "content": "be"}, ASKED, ANSWER]}),
    **{
        f"developer as system {number}": (
            template,
            {"messages": [{"role": "system", "content": "s"}, ASKED, {"role": "developer", "content": "be"}, ANSWER]},
        )
        for number, template in enumerate((CALLS, PARTS))
    },
}


@pytest.fixture
def tokenizer(tiny_folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_folder)


@pytest.fixture(scope="module")
def model_config(tiny_folder: Path) -> Any:
    """What vLLM's rendering reads of its model configuration, which cannot be made without inspecting the model in a process."""
    return SimpleNamespace(
        model=str(tiny_folder),
        tokenizer=str(tiny_folder),
        hf_config=SimpleNamespace(model_type="llama"),
        multimodal_config=None,
        is_multimodal_model=False,
        enable_prompt_embeds=False,
        trust_remote_code=False,
        revision=None,
        code_revision=None,
        tokenizer_revision=None,
    )


def served(body: dict[str, Any], tokenizer: Any, model_config: Any) -> list[int]:
    """What vLLM's own chat route makes of a request."""
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
    from vllm.renderers.chat_utils import parse_chat_messages
    from vllm.renderers.hf import _CONTENT_FORMATS, resolve_chat_template_content_format, safe_apply_chat_template

    request = ChatCompletionRequest(**body)
    tools = [tool.model_dump() for tool in request.tools] if request.tools else None
    _CONTENT_FORMATS.clear()  # it is remembered by the tokenizer's name, and this one changes its template
    form = resolve_chat_template_content_format(None, tools, "auto", tokenizer, model_config=model_config)
    conversation, _, _ = parse_chat_messages(request.messages, model_config, form)
    kwargs = request.build_chat_params(None, "auto").get_apply_chat_template_kwargs()
    return safe_apply_chat_template(
        model_config, tokenizer, conversation, tools=tools, **{**kwargs, "tokenize": True, "chat_template": None}
    )


@pytest.mark.parametrize("case", SAME)
def test_the_prompt_is_vllms(case: str, tokenizer: Any, model_config: Any, tmp_path: Path) -> None:
    from lorarack.adapters.training.encode import encode_row

    tokenizer.chat_template, body = SAME[case]
    row = one_row(tmp_path, body)
    encoded = encode_row(row, tokenizer)
    asked = {"model": "x", "messages": row.prompt_messages, **row.options.to_json(), "tool_choice": "none"}
    assert list(encoded.prompt) == served(asked, tokenizer, model_config)
    if case == "nulls":
        return  # a server refuses them where they stand; data sets are full of them, and mean nothing by it
    raw = {**body, "messages": body["messages"][:-1], "model": "x", "tool_choice": "none"}
    assert list(encoded.prompt) == served(raw, tokenizer, model_config), "and of the row as it stands in the file"


def test_vllms_own_templates_too(tokenizer: Any, model_config: Any, tmp_path: Path) -> None:
    """Those that vLLM falls back to for models without one."""
    import vllm.transformers_utils.chat_templates as shipped

    from lorarack.adapters.training.encode import encode_row

    body = {"messages": [{"role": "system", "content": "s"}, ASKED, ANSWER, PIECES, ANSWER]}
    row = one_row(tmp_path, body)
    tried = 0
    for path in Path(str(shipped.__file__)).parent.glob("*.jinja"):
        tokenizer.chat_template = path.read_text()
        asked = {"model": "x", "messages": row.prompt_messages}
        try:
            encoded = encode_row(row, tokenizer)
        except UsageError:
            continue
        assert list(encoded.prompt) == served(asked, tokenizer, model_config), path.name
        tried += 1
    assert tried >= 3


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"messages": [ASKED, CALLED, RESULT, ANSWER]}, "it does not write 'tool_calls'"),
        ({"messages": [ASKED, ANSWER], "tools": [TOOL]}, "it does not write 'tools'"),
        ({"messages": [ASKED, ANSWER], "documents": [{"text": "x"}]}, "it does not write 'documents'"),
        (
            {"messages": [ASKED, ANSWER], "chat_template_kwargs": {"enable_thinking": False}},
            "knows no 'enable_thinking'",
        ),
        ({"messages": [ASKED, {**ANSWER, "reasoning": "hm"}]}, "does not write 'reasoning'"),
        ({"messages": [ASKED, CALLED]}, "it does not write 'tool_calls'"),
    ],
)
def test_what_the_template_leaves_out_is_refused(
    body: dict[str, Any], said: str, tokenizer: Any, tmp_path: Path
) -> None:
    """A template that knows roles and texts alone: a server would drop the rest from the prompt, and so would training."""
    from lorarack.adapters.training.encode import encode_row

    tokenizer.chat_template = MARKED
    with pytest.raises(UsageError, match=said) as caught:
        encode_row(one_row(tmp_path, body), tokenizer)
    assert "line" in caught.value.message or "row" in caught.value.message


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ raise_exception('no system role here') }}", "no system role here"),
        ("{{ messages[0].nothing.at.all }}", "nothing"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{{ messages + 1 }}", "TypeError"),
        ("{{ messages[0].__class__.__mro__ }}", "unsafe"),
        ("{{ messages.append(1) }}", "unsafe"),
        ("{% for m in messages %}{{ m.content }", "unexpected"),
        ("{{ nosuchfilter | nosuch }}", "nosuch"),
        ("{% include 'x' %}", "loader"),
        ("nothing of it", "does not write the assistant's answer"),
    ],
)
def test_whatever_a_template_raises_is_one_sentence(template: str, said: str, tokenizer: Any, tmp_path: Path) -> None:
    from lorarack.adapters.training.encode import encode_row

    tokenizer.chat_template = template
    with pytest.raises(UsageError, match=said) as caught:
        encode_row(one_row(tmp_path, {"messages": [ASKED, ANSWER]}), tokenizer)
    assert "\n" not in caught.value.message
