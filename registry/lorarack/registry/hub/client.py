"""The Hub's client, set up from the environment as it is now.

huggingface_hub reads ``HF_ENDPOINT`` once, when it is imported; here it is read at each call, so a program (or a test) may
set it late. The token is ``HF_TOKEN``, else what ``hf auth login`` left behind.
"""

import os
from typing import TYPE_CHECKING

from lorarack.registry.errors import NotAllowed

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_PUBLIC_HUB = "https://huggingface.co"


def hub_endpoint() -> str:
    """The address of the Hub that is asked: ``HF_ENDPOINT``, else the public one."""
    return (os.environ.get("HF_ENDPOINT") or _PUBLIC_HUB).rstrip("/")


def hub_api() -> "HfApi":
    """A client for that address; importing huggingface_hub waits until here, because it is slow.

    Raises:
        NotAllowed: a token was to come from a CI provider, and none came.
    """
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.errors import OIDCError

    try:
        token = get_token()
    except OIDCError as error:
        raise NotAllowed(
            "HF_OIDC_RESOURCE asks for a token from this machine's CI provider, which gives none; unset it and set HF_TOKEN.",
            code="no_token",
        ) from error
    # False, not None: with None each call would look for a token again, by rules that differ between calls.
    return HfApi(endpoint=hub_endpoint(), token=token or False, library_name="lorarack")
