"""Other servers' parameters for choosing an adapter. vLLM ignores them silently and answers with the base."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from lorarack.registry.errors import UsageError

#: Objects in a request in which such a parameter may stand (TGI, LoRAX; clients of OpenAI that pass them on as they are).
_WITHIN = ("parameters", "extra_body", "options", "custom_params", "vllm_xargs")
_WORDS = frozenset({"lora", "loras", "adapter", "adapters"})
_EMPTY: tuple[Any, ...] = (None, "", [], {})


def check_adapter_parameters(document: Mapping[str, Any]) -> None:
    """Check that the request names its adapter by ``model`` alone.

    Raises:
        UsageError: it has ``adapter_id``, ``lora_path``, ``lora_request`` or the like.
    """
    name = next(_found(document), None)
    if name is not None:
        raise UsageError(
            f"{name!r} is not how an adapter is asked for here: leave it out and name the adapter as the model, "
            'for example "model": "support@3".',
            code="adapter_parameter",
        )


def _found(document: Mapping[str, Any]) -> Iterator[str]:
    for name, value in document.items():
        if value in _EMPTY:
            continue
        words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name[:64].replace("LoRA", "_lora_")).lower()
        if _WORDS.intersection(re.split(r"[^a-z]+", words)):
            yield name[:64]
        elif name in _WITHIN and isinstance(value, dict):
            yield from (f"{name}.{inner}" for inner in _found(value))
