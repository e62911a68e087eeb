"""Chats are rendered with the template of the version that answers, where it brought one.

The request cannot carry it: vLLM takes templates from requests with ``--trust-request-chat-template`` alone, and then anybody's.
So it is put in where vLLM renders, behind that check. vLLM's own renderer does the rest: sandbox, time limit, format of contents.
"""

import dataclasses
from typing import Any

from lorarack.server.exchange import CURRENT


def render_with_own_template(renderer: Any) -> None:
    """Have ``renderer`` take the template of the request that it renders for, if that has one."""
    original = renderer.render_chat_async

    async def render_chat_async(conversations: Any, chat_params: Any, *args: Any, **kwargs: Any) -> Any:
        exchange = CURRENT.get()
        if exchange is not None and exchange.chat_template is not None:
            chat_params = dataclasses.replace(chat_params, chat_template=exchange.chat_template)
        return await original(conversations, chat_params, *args, **kwargs)

    renderer.render_chat_async = render_chat_async
