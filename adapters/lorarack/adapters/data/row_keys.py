"""Keys of the chat formats in use that rows cannot have here, each with the way out.

Keys in no table annotate a row (an id, its source, scores): they reach neither the prompt nor the answer, here or on a server.
"""

from collections.abc import Mapping
from typing import Any

#: Beside ``messages`` or ``prompt``.
ROW_KEYS = {
    "functions": 'write \'tools\' instead, each as {"type": "function", "function": {…}}',
    "function_call": "write 'tools' beside the messages and 'tool_calls' in the assistant's message instead",
    "system": "write it as a first message of role 'system'",
    "history": "write its turns into 'messages'",
    "images": "only text is trained; leave such rows out",
    "image": "only text is trained; leave such rows out",
    "videos": "only text is trained; leave such rows out",
    "video": "only text is trained; leave such rows out",
    "audios": "only text is trained; leave such rows out",
    "audio": "only text is trained; leave such rows out",
    "modalities": "only text is trained; leave such rows out",
    "chosen": "preference pairs are not trained on; write the chosen answer as the completion",
    "rejected": "preference pairs are not trained on; write the chosen answer as the completion",
    "completions": "one answer a row is trained; write one row for each answer",
    "weight": "rows cannot be weighted; repeat a row that counts more and leave it out where it is 0",
    "suffix": "fill-in-the-middle is not trained; put the suffix into the prompt as the base model expects it",
    "chat_template": "the base's own chat template is used; put it into the base's folder",
    "reasoning_effort": "write it into 'chat_template_kwargs', as the base's template calls it",
    "add_generation_prompt": "a prompt always opens the assistant's turn, as on a server; leave it out",
    "continue_final_message": "answers are trained from their first token on; leave it out",
    "add_special_tokens": "the chat template writes the special tokens; leave it out",
    "echo": "answers are trained without the prompt; leave it out",
}

#: Inside a message.
MESSAGE_KEYS = {
    "function_call": "write it as 'tool_calls'",
    "refusal": "write what the assistant says as its 'content'",
    "audio": "only text is trained; leave such rows out",
    "image": "only text is trained; leave such rows out",
    "images": "only text is trained; leave such rows out",
    "video": "only text is trained; leave such rows out",
    "videos": "only text is trained; leave such rows out",
    "reasoning_content": "write it as 'reasoning', the key that a server reads",
    "thinking": "write it as 'reasoning', the key that a server reads",
    "reasoning_details": "write its text as 'reasoning', the key that a server reads",
    "thinking_blocks": "write their text as 'reasoning', the key that a server reads",
    "prefix": "answers are trained from their first token on; leave it out",
    "partial": "answers are trained from their first token on; leave it out",
    "tools": "write 'tools' beside 'messages'",
    "functions": "write 'tools' beside 'messages'",
    "tool_responses": "write each as a message of role 'tool'",
}

#: Rows of formats that are not read, by a key that tells them, and what the same row is here.
OTHER_FORMATS = {
    "chosen": "a preference pair, which is not trained on; write the prompt and the chosen answer as "
    '"prompt" and "completion"',
    "contents": 'a Gemini row; write "messages": [{"role": "user", "content": …}, {"role": "assistant", "content": …}]',
}

#: A server's defaults: the same as leaving the key out.
_DEFAULTS = {
    "add_generation_prompt": True,
    "continue_final_message": False,
    "add_special_tokens": False,
    "echo": False,
    "prefix": False,
    "partial": False,
    "weight": 1,
}


def given(found: Mapping[str, Any], key: str) -> bool:
    """Whether ``key`` says anything: null, nothing and a server's own default do not."""
    value = found.get(key)
    if value is None or value in ("", [], {}):
        return False
    return not (key in _DEFAULTS and type(value) in (bool, int) and value == _DEFAULTS[key])
