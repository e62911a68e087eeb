"""What an adapter from elsewhere was trained on, and the digest that its files will have."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lorarack.registry.artifact.adapter_config import canonical_config, parse_config
from lorarack.registry.artifact.limits import MAX_TEMPLATE_BYTES
from lorarack.registry.artifact.manifest import (
    CHAT_TEMPLATE,
    CONFIG,
    DEFAULTS,
    WEIGHTS,
    artifact_digest,
    schema_1_digest,
    sha256,
)
from lorarack.registry.artifact.prompt_settings import canonical_defaults, read_defaults
from lorarack.registry.errors import LorarackError, NotFound, UsageError
from lorarack.registry.hub.names import parse_repository
from lorarack.registry.interface import Registry
from lorarack.registry.values import Base

#: Names of repositories that hold a quantized copy.
_QUANTISED = re.compile(
    r"[-_.](bnb|[248]bit|awq|gptq|int[48]|fp8|nf4|nvfp4|w4a16|w8a8|quantized)(?![a-z0-9])", re.IGNORECASE
)


def find_base(
    registry: Registry, config: Mapping[str, Any], source: str, given: str | None
) -> tuple[Base, tuple[str, ...]]:
    """The registry's base model for the adapter in ``source``, and notes about the choice.

    Raises:
        NotFound: the registry has none that fits; the sentence says what to do.
    """
    if given is not None:
        return registry.base(given), ()
    named, revision = config.get("base_model_name_or_path"), config.get("revision")
    for base in registry.bases():
        if any(known.kind == "hub" and (known.value, known.revision) == (named, revision) for known in base.ids):
            return base, ()
    # Names only, not Registry.base: what a stranger wrote there must not be looked up as a folder of this machine.
    for base in registry.bases():
        ids = [known for known in base.ids if known.kind == "hub" and known.value == named]
        if ids or base.name == named:
            return base, _revision_note(ids[-1].revision if ids else None, revision, base)
    raise NotFound(_unknown(named, source), code="unknown_base")


def folder_digests(folder: Path) -> frozenset[str]:
    """The digests of what is in ``folder``, today's and those of former releases; empty where its files cannot be read."""
    _, data, _ = parse_config((folder / CONFIG).read_bytes())
    with (folder / WEIGHTS).open("rb") as file:
        weights = hashlib.file_digest(file, "sha256").hexdigest()
    try:
        former = schema_1_digest(sha256(canonical_config(data)), f"sha256:{weights}")
        digests = (artifact_digest(data, f"sha256:{weights}", files) for files in ({}, _prompt_settings(folder)))
        return frozenset({*digests, former})
    except (ValueError, RecursionError, LorarackError):
        return frozenset()


def _prompt_settings(folder: Path) -> dict[str, str]:
    found = {}
    if (template := folder / CHAT_TEMPLATE).is_file() and template.stat().st_size <= MAX_TEMPLATE_BYTES:
        found[CHAT_TEMPLATE] = sha256(template.read_bytes())
    if (defaults := folder / DEFAULTS).is_file() and (stored := canonical_defaults(read_defaults(defaults))):
        found[DEFAULTS] = sha256(stored)
    return found


def _revision_note(known: str | None, wanted: object, base: Base) -> tuple[str, ...]:
    if not isinstance(wanted, str) or known is None or known == wanted:
        return ()
    return (f"It was trained on revision {wanted[:40]} of its base; base {base.name!r} here is revision {known}.",)


def _unknown(named: object, source: str) -> str:
    if not isinstance(named, str) or not named:
        return f"{source!r} does not say which base model it was trained on; name it with --base."
    shown = named[:200]
    try:
        parse_repository(named)
    except UsageError:
        return (
            f"{source!r} was trained on {shown!r}, which no base model here is called; "
            "add the model with 'lorarack base add' and name it with --base."
        )
    if _QUANTISED.search(named):
        return (
            f"{source!r} was trained on {shown!r}, a quantized copy which this registry does not know; to serve it over the "
            "original, add that with 'lorarack base add ORG/REPO' and name it with --base; to serve it over the copy, add that "
            f"with 'lorarack base add {shown}', and say what it is a copy of with 'lorarack base link'."
        )
    return (
        f"{source!r} was trained on {shown!r}, which this registry does not know; "
        f"add it with 'lorarack base add {shown}', or name another with --base."
    )
