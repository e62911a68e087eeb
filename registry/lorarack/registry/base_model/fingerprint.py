"""Reading a base model: its fingerprints, its table of modules, and its identity. No torch.

A fingerprint covers what the model computes: the token table, the part of ``config.json`` that its function depends on, and every
byte of its weights. The weights are known in two forms, each with its own fingerprint: by the tensors, however they are spread
over files (needs all bytes), and by the SHA-256 of the files (which the Hub states). Two models that share one are the same.
"""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from lorarack.registry.artifact.limits import MAX_CONFIG_BYTES, MAX_TOKENIZER_BYTES
from lorarack.registry.artifact.manifest import sha256
from lorarack.registry.artifact.other_formats import other_kind
from lorarack.registry.artifact.tokenizer import vocabulary_digest
from lorarack.registry.artifact.weights import HeaderError
from lorarack.registry.base_model.content import Progress
from lorarack.registry.base_model.files import BaseFiles
from lorarack.registry.base_model.function_config import function_config
from lorarack.registry.base_model.modules import model_size, module_table
from lorarack.registry.base_model.sampled import architecture_of, sampled_fingerprint
from lorarack.registry.base_model.weights import USE, Weights, read_weights
from lorarack.registry.errors import InvalidArtifact
from lorarack.registry.values import ModuleTable

#: Where transformers looks, in its order.
_TEMPLATE_FILES = ("chat_template.jinja", "chat_template.json", "tokenizer_config.json")


@dataclass(frozen=True, slots=True)
class Look:
    """What can be seen of a base model without reading its weights whole."""

    architecture: str
    config: dict[str, Any]
    vocabulary: str | None
    vocab_size: int
    parameters: int
    modules: ModuleTable = field(repr=False)
    template: str | None
    #: The fingerprint of lorarack 0.1.0.
    sampled: str
    weights: Weights = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Reading(Look):
    """What ``read_base`` found."""

    #: By the tensors, where the bytes are here; else by the files.
    fingerprint: str
    by_files: str = field(compare=False)


def look_at_base(files: BaseFiles) -> Look:
    """Configuration, token table, headers and a sample of the weights: enough to notice a changed file, not to prove anything.

    Raises:
        InvalidArtifact: no configuration, no safetensors weights, or damaged ones.
    """
    names = set(files.names())
    subject = f"The base model {files.identity().value!r}"
    config = _read_config(files, names, subject)
    weights = read_weights(files, names, subject)
    vocabulary = _vocabulary(files, names, subject)
    vocab_size = _vocab_size(config)
    return Look(
        architecture=architecture_of(config),
        config=function_config(config),
        vocabulary=vocabulary,
        vocab_size=vocab_size,
        parameters=model_size(weights.tensors, config, weights.shapes),
        modules=module_table(weights.tensors, config, weights.shapes),
        template=_template_digest(files, names),
        sampled=sampled_fingerprint(config, weights.tensors, vocabulary, vocab_size, weights.sample),
        weights=weights,
    )


def read_base(files: BaseFiles, progress: Progress | None = None) -> Reading:
    """Read the base model in ``files``. Weights that were not hashed before are read whole, unless the Hub states their SHA-256.

    Raises:
        InvalidArtifact: no configuration, no safetensors weights, or damaged ones.
        Conflict: the files changed while they were read.
    """
    return complete(look_at_base(files), files, progress)


def complete(look: Look, files: BaseFiles, progress: Progress | None = None) -> Reading:
    """A look at a base model together with the digests of all its weights.

    Raises:
        InvalidArtifact: a weight file is damaged.
        Conflict: the files changed while they were read.
    """
    digests, tensors = [], {}
    for name in look.weights.files:
        try:
            content = files.content(name, progress)
        except HeaderError as error:
            subject = f"The base model {files.identity().value!r}"
            raise InvalidArtifact(
                [f"{name}: {error}; download or convert it again"], subject=subject, purpose=USE
            ) from error
        digests.append(content.sha256)
        tensors.update(content.tensors)
    by_files = _fingerprint(look, {"files": sorted(digests)})
    whole = [[t.name, t.dtype, list(t.shape), tensors.get(t.name)] for t in look.weights.tensors]
    fields = {name: getattr(look, name) for name in Look.__dataclass_fields__}
    return Reading(
        **fields, fingerprint=_fingerprint(look, {"tensors": whole}) if tensors else by_files, by_files=by_files
    )


def _fingerprint(look: Look, weights: dict[str, Any]) -> str:
    identity = {"format": 2, "config": look.config, "vocabulary": look.vocabulary, **weights}
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _read_config(files: BaseFiles, names: set[str], subject: str) -> dict[str, Any]:
    if "config.json" not in names or files.size("config.json") > MAX_CONFIG_BYTES:
        raise InvalidArtifact(
            ["it has no config.json; give a folder or repository that transformers can load"],
            subject=subject,
            purpose=USE,
        )
    with files.open("config.json") as file:
        raw = file.read(MAX_CONFIG_BYTES + 1)
    try:
        config = json.loads(raw)
    except (ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        problem = f"its config.json {other_kind(raw) or 'is not a JSON object'}"
        raise InvalidArtifact([problem], subject=subject, purpose=USE)
    return config


def _vocab_size(config: dict[str, Any]) -> int:
    text = config.get("text_config")
    size = config.get("vocab_size") or (text.get("vocab_size") if isinstance(text, dict) else None)
    return size if isinstance(size, int) and 0 <= size < 2**63 else 0


def _vocabulary(files: BaseFiles, names: set[str], subject: str) -> str | None:
    if "tokenizer.json" not in names or files.size("tokenizer.json") > MAX_TOKENIZER_BYTES:
        return None
    with files.open("tokenizer.json") as file:
        raw = file.read(MAX_TOKENIZER_BYTES + 1)
    found = vocabulary_digest(raw)
    other = other_kind(raw) if found is None else None
    if other:
        raise InvalidArtifact([f"its tokenizer.json {other}"], subject=subject, purpose=USE)
    return found


def _template_digest(files: BaseFiles, names: set[str]) -> str | None:
    """``sha256:`` of the chat template's text, in whichever file it is written; None without one.

    It is no part of a base's function, but of what its adapters were trained and are asked with.
    """
    for name in _TEMPLATE_FILES:
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
