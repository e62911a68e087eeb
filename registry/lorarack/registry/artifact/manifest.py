"""The manifest and the digest that names an artifact.

The digest covers the weight file's bytes, what the configuration says about how they are applied, and what a server does to
requests for it (chat template, defaults), so two machines, two hash seeds, two releases of PEFT, or a trip to the Hub and back
give one digest.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import rfc8785

from lorarack.registry.errors import UsageError

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
CHAT_TEMPLATE = "chat_template.jinja"
DEFAULTS = "serving_defaults.json"
#: Of transformers; read where a folder has no ``DEFAULTS``, and not kept.
GENERATION_CONFIG = "generation_config.json"
#: What decides which prompt a request becomes, and how its answer is sampled.
PROMPT_FILES = (CHAT_TEMPLATE, DEFAULTS)

_DIGEST = re.compile("sha256:[0-9a-f]{64}")

#: The keys of a configuration that decide where and how strongly the weights are applied. All others are about how they
#: were trained, by what they were written and where the base lies; features that would change more are refused.
_HASHED = (
    "r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern",
    "target_modules", "exclude_modules", "layers_to_transform", "layers_pattern",
)  # fmt: skip

#: Lists whose order and repetitions mean nothing; one value alone means the same as a list of it.
_SETS = frozenset({"exclude_modules", "layers_to_transform", "layers_pattern"})

#: Tables of patterns, of which the first that matches counts.
_ORDERED = frozenset({"rank_pattern", "alpha_pattern"})


def sha256(data: bytes) -> str:
    """``sha256:`` and the 64 hexadecimal digits of ``data``."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def hex_digits(digest: str) -> str:
    """The 64 digits of a digest. Raises ``UsageError``: it is none."""
    if not _DIGEST.fullmatch(digest):
        raise UsageError(f"{digest[:80]!r} is not a digest of the form sha256: and 64 hexadecimal digits.")
    return digest.removeprefix("sha256:")


def artifact_digest(
    config: Mapping[str, Any], weights_digest: str, prompt_files: Mapping[str, str] | None = None
) -> str:
    """The digest of an artifact from its configuration, the digest of its weight file, and those of its files of ``PROMPT_FILES``.

    Canonical JSON by RFC 8785 (https://www.rfc-editor.org/rfc/rfc8785): 8 and 8.0 are one number. Without a file of
    ``PROMPT_FILES`` it is what it was before there were any.

    Raises:
        ValueError: the configuration has numbers or texts that canonical JSON cannot hold.
    """
    try:
        applied = rfc8785.dumps({key: _normal(key, config[key]) for key in _HASHED if config.get(key)})
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{CONFIG} holds values that canonical JSON cannot hold") from error
    files = {CONFIG: sha256(applied), WEIGHTS: weights_digest, **(prompt_files or {})}
    return sha256(rfc8785.dumps({"schema": 3 if prompt_files else 2, "files": files}))


def prompt_files_of(files: Mapping[str, str]) -> dict[str, str]:
    """Of digests by name, those of ``PROMPT_FILES``."""
    return {name: files[name] for name in PROMPT_FILES if name in files}


def schema_1_digest(config_digest: str, weights_digest: str) -> str:
    """The digest that releases up to 0.1.0 gave, from the digests of the stored configuration and of the weight file."""
    manifest = {"schema": 1, "files": {CONFIG: config_digest, WEIGHTS: weights_digest}}
    return sha256(json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode())


def _normal(key: str, value: Any) -> Any:
    if key in _ORDERED and isinstance(value, dict):
        return [[pattern, number] for pattern, number in value.items()]
    if key == "target_modules" and isinstance(value, str):
        return value.lower() if value.lower() == "all-linear" else value  # else one regular expression
    if key in _SETS and not isinstance(value, list):
        return [value]
    return sorted(set(value), key=lambda item: (str(type(item)), item)) if isinstance(value, list) else value
