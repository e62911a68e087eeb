"""What a folder says of the prompts and the sampling that its adapter was made for: a chat template, defaults for requests.

``serving_defaults.json`` is our own form (``ServingDefaults``), ``generation_config.json`` that of transformers, of which the six
keys that vLLM reads are taken. All three may come from a stranger: they are read within limits, and nothing is rendered here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rfc8785
from pydantic import ValidationError

from lorarack.registry.artifact.folder import Folder
from lorarack.registry.artifact.limits import MAX_DEFAULTS_BYTES
from lorarack.registry.artifact.manifest import CHAT_TEMPLATE, DEFAULTS, GENERATION_CONFIG
from lorarack.registry.errors import NotFound, UsageError
from lorarack.registry.serving_defaults import ServingDefaults
from lorarack.registry.texts import parse_json
from lorarack.registry.value import corrections

#: The keys of transformers' generation configuration that vLLM reads, and what they are called in requests.
_GENERATION = {
    **{key: key for key in ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")},
    "max_new_tokens": "max_tokens",
}


@dataclass(frozen=True, slots=True)
class PromptSettings:
    """What a folder has of both. ``notes`` say where defaults come from, if not from a file of ours."""

    chat_template: bytes | None = None
    defaults: ServingDefaults | None = None
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def read_prompt_settings(folder: Folder) -> PromptSettings:
    """What ``folder`` has, and what is wrong with it."""
    problems, notes = [], []
    template = folder.read(CHAT_TEMPLATE)
    if template is not None and (problem := _template_problem(template)):
        problems.append(f"{CHAT_TEMPLATE} {problem}")
    defaults = None
    own, theirs = folder.read(DEFAULTS), folder.read(GENERATION_CONFIG)
    try:
        if own is not None:
            defaults = parse_defaults(own)
        elif theirs is not None:
            defaults = _of_generation_config(theirs)
            if defaults.given:
                notes.append(f"Taken from its {GENERATION_CONFIG}: {', '.join(defaults.words)}.")
    except ValueError as error:
        name = DEFAULTS if own is not None else GENERATION_CONFIG
        problems.append(f"{name} cannot be used: {str(error).rstrip('.')}")
    return PromptSettings(template, defaults, tuple(notes), tuple(problems))


def stored_files(found: PromptSettings, defaults: ServingDefaults | None = None) -> dict[str, bytes]:
    """The bytes of each file of ``PROMPT_FILES`` that is stored with the adapter; ``defaults``: in place of the folder's.

    Raises:
        UsageError: defaults that canonical JSON cannot hold.
    """
    chosen = found.defaults if defaults is None else defaults
    files = {CHAT_TEMPLATE: found.chat_template, DEFAULTS: canonical_defaults(chosen) if chosen else None}
    return {name: data for name, data in files.items() if data is not None}


def canonical_defaults(defaults: ServingDefaults) -> bytes | None:
    """The bytes that are stored, in canonical JSON (RFC 8785); None where nothing is said.

    Raises:
        UsageError: a number that canonical JSON cannot hold.
    """
    try:
        return rfc8785.dumps(defaults.given) if defaults.given else None
    except (ValueError, TypeError, RecursionError) as error:
        raise UsageError(f"The defaults cannot be kept: {error}.", code="bad_defaults") from error


def parse_defaults(raw: bytes) -> ServingDefaults:
    """The defaults in a file of ours. Raises ``ValueError`` with what is wrong."""
    document = _object(raw)
    try:
        return ServingDefaults.model_validate(document)
    except ValidationError as error:
        raise ValueError(corrections(error)) from error


def read_defaults(path: Path) -> ServingDefaults:
    """The defaults in a file of ours.

    Raises:
        NotFound: there is no such file.
        UsageError: it cannot be used.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_DEFAULTS_BYTES + 1)
    except OSError as error:
        raise NotFound(f"The file {str(path)!r} cannot be read: {error.strerror or error}.", code="no_file") from error
    try:
        if len(raw) > MAX_DEFAULTS_BYTES:
            raise ValueError(f"it has more than {MAX_DEFAULTS_BYTES} bytes")
        return parse_defaults(raw)
    except ValueError as error:
        reason = str(error).rstrip(".")
        raise UsageError(f"The defaults in {str(path)!r} cannot be used: {reason}.", code="bad_defaults") from error


def _of_generation_config(raw: bytes) -> ServingDefaults:
    document = _object(raw)
    found = {name: document[key] for key, name in _GENERATION.items() if document.get(key) is not None}
    try:
        return ServingDefaults.model_validate(found)
    except ValidationError as error:
        raise ValueError(f"{corrections(error).rstrip('.')}, or leave the file out") from error


def _object(raw: bytes) -> Mapping[str, Any]:
    document = parse_json(raw)
    if isinstance(document, dict):
        return document
    raise ValueError("it is no JSON object")


def _template_problem(template: bytes) -> str | None:
    """Why no server could render with it, if so; it is parsed, not run."""
    from lorarack.registry.artifact.chat_template import parse_template

    try:
        parse_template(template.decode())
    except UnicodeDecodeError:
        return "is not UTF-8; save it again"
    except ValueError as error:
        return f"is no chat template: {str(error).rstrip('.')}; correct it, or leave it out"
    return None
