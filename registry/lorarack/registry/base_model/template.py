"""The chat template of a base model: no part of its function, but of what its adapters were trained and are asked with."""

import json

from lorarack.registry.artifact.limits import MAX_CONFIG_BYTES
from lorarack.registry.artifact.manifest import sha256
from lorarack.registry.base_model.files import BaseFiles

#: Where transformers looks, in its order.
_FILES = ("chat_template.jinja", "chat_template.json", "tokenizer_config.json")


def template_digest(files: BaseFiles, names: set[str]) -> str | None:
    """``sha256:`` of the template's text, in whichever file it is written; None without one."""
    for name in _FILES:
        if name not in names or files.size(name) > MAX_CONFIG_BYTES:
            continue
        with files.open(name) as file:
            raw = file.read()
        if name.endswith(".jinja"):
            return sha256(raw.strip())
        try:
            found = json.loads(raw).get("chat_template")
        except (ValueError, RecursionError, AttributeError):
            continue
        if isinstance(found, str):
            return sha256(found.strip().encode(errors="surrogatepass"))
        if found:  # several templates by name
            return sha256(json.dumps(found, sort_keys=True).encode())
    return None
