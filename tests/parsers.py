"""Every parser that reads what strangers write, by itself: it gives a value or an error that is foreseen, in time.

Shared by the tests, which try some inputs, and by ``benchmarks.fuzz``, which tries a hundred thousand.
"""

import io
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from tests.registry.artifacts import read_artifact
from tests.registry.fuzzing import as_json, in_time, json_values, spoiled, spoiled_bytes
from tests.tiny import adapter_config, base_tensors, safetensors_bytes, tiny_adapter, tokenizer

from lorarack.adapters.data.load import load_rows
from lorarack.adapters.recipe import parse_recipe
from lorarack.registry import Base, LorarackError
from lorarack.registry.artifact.adapter_config import canonical_config, parse_config
from lorarack.registry.artifact.manifest import artifact_digest
from lorarack.registry.artifact.tokenizer import vocabulary_digest
from lorarack.registry.artifact.weights import HeaderError, read_header
from lorarack.registry.hub.names import parse_repository
from lorarack.registry.hub.results import read_claims
from lorarack.registry.queries import parse_condition
from lorarack.registry.reference import parse_reference

DIGEST = "sha256:" + "0" * 64
_BASE = Base(
    name="tiny",
    fingerprint=DIGEST,
    architecture="LlamaForCausalLM",
    vocabulary=vocabulary_digest(json.dumps(tokenizer()).encode()),
    vocab_size=64,
    parameters=1,
    modules={
        name.removesuffix(".weight"): (tensor.shape[0], tensor.shape[1])
        for name, tensor in base_tensors().items()
        if tensor.ndim == 2
    },
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
)
_HEADER = {
    "__metadata__": {"format": "pt"},
    "a.lora_A.weight": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]},
    "a.lora_B.weight": {"dtype": "BF16", "shape": [4, 2], "data_offsets": [16, 32]},
}
_ROWS: list[Any] = [
    {"prompt": "a", "completion": "b"},
    {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
    {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "a"}]},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "1", "content": "c"},
            {"role": "assistant", "content": "d", "weight": 0},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    },
]
_RECIPE = {"name": "orders", "base": "tiny", "data": {"train": "t.jsonl"}, "ranks": [4, 8], "learning_rate": 2e-4}
_CARD = {
    "license": "mit",
    "lorarack": {"digest": DIGEST, "version": "support@1", "tags": {"a": "b"}, "description": "d"},
}
_CARD_RESULTS = {
    "model-index": [
        {
            "name": "support",
            "results": [
                {
                    "task": {"type": "text-generation"},
                    "dataset": {"name": "d", "type": "d", "split": "test", "revision": DIGEST},
                    "metrics": [{"type": "loss", "value": 0.5, "args": {"higher_is_better": False}}],
                }
            ],
        }
    ]
}

_BESIDE: dict[str, Any] = {
    "tokenizer.json": tokenizer(),
    "tokenizer_config.json": {
        "pad_token": "[PAD]",
        "chat_template": [{"name": "default", "template": "{{ messages }}"}],
        "added_tokens_decoder": {"2": {"content": "</s>"}, "64": {"content": "[PAD]"}},
    },
    "special_tokens_map.json": {"pad_token": {"content": "[PAD]"}, "eos_token": "</s>"},
    "added_tokens.json": {"</s>": 2, "[PAD]": 64},
    "vocab.json": {"a": 0},
    "trainer_state.json": {
        "global_step": 10,
        "best_global_step": 5,
        "best_model_checkpoint": "x/checkpoint-5",
        "log_history": [{"step": 5, "loss": 1.5}, {"step": 10, "eval_loss": 1.0}],
    },
    "logging.jsonl": {"eval_loss": 0.5, "global_step/max_steps": "5/10"},
}


@dataclass(frozen=True, slots=True)
class Parser:
    """``read`` may raise nothing but ``raises``, whatever comes out of ``given``."""

    given: st.SearchStrategy[Any]
    read: Callable[[Any], object]
    raises: tuple[type[Exception], ...] = (LorarackError,)

    def check(self, found: Any) -> bool:
        """Try one input; whether it was accepted. Anything that is not foreseen comes out."""
        refusal: Exception | None = None
        try:
            with in_time():
                self.read(found)
        except self.raises as error:
            refusal = error
        assert refusal is None or 0 < len(str(refusal)) < 20_000, "a refusal says something, and not everything"
        return refusal is None


def parsers(scratch: Path) -> dict[str, Parser]:
    """All of them by name; ``scratch`` is a folder for those that read files."""
    texts = st.text(max_size=40) | st.text(alphabet="abr0123:@/._-<>=!+ \x00\ud800", max_size=30)
    return {
        "safetensors header": Parser(
            _bytes(_HEADER).map(_with_length) | spoiled_bytes(_whole()), _header, (HeaderError,)
        ),
        "adapter configuration": Parser(_bytes(adapter_config()), _config, (ValueError, RecursionError)),
        "tokenizer": Parser(_bytes(tokenizer()), vocabulary_digest),
        "file beside an adapter": Parser(
            st.one_of([st.tuples(st.just(name), _bytes(document)) for name, document in _BESIDE.items()]),
            _FileBeside(scratch / "beside"),
        ),
        "model card": Parser(st.builds(_card, spoiled(_CARD | _CARD_RESULTS)) | _raw_text(_card(_CARD)), _claims),
        "reference": Parser(texts, parse_reference),
        "repository": Parser(texts | texts.map("https://huggingface.co/".__add__), parse_repository),
        "condition": Parser(texts, parse_condition),
        "recipe": Parser(_bytes(_RECIPE).map(_decoded) | _raw_text(_yaml(_RECIPE)), parse_recipe),
        "rows": Parser(_lines(), _RowsFile(scratch / "rows.jsonl")),
    }


def _bytes(document: Any) -> st.SearchStrategy[bytes]:
    return as_json(spoiled(document)) | spoiled_bytes(json.dumps(document).encode()) | as_json(json_values)


def _lines() -> st.SearchStrategy[bytes]:
    line = st.sampled_from(_ROWS).flatmap(_bytes)
    return st.lists(line, min_size=1, max_size=3).map(b"\n".join)


def _raw_text(text: str) -> st.SearchStrategy[str]:
    return spoiled_bytes(text.encode()).map(_decoded)


def _decoded(raw: bytes) -> str:
    return raw.decode(errors="replace")


def _with_length(header: bytes) -> bytes:
    return struct.pack("<Q", len(header)) + header + bytes(32)


def _whole() -> bytes:
    return safetensors_bytes(_HEADER, bytes(32))


def _header(data: bytes) -> object:
    tensors = read_header(io.BytesIO(data), len(data))
    assert all(0 <= tensor.start <= tensor.end <= len(data) for tensor in tensors)
    return tensors


def _config(raw: bytes) -> object:
    config, data, problems = parse_config(raw)
    assert (config is None) == bool(problems)
    if config is None:
        raise ValueError("; ".join(problems)[:1000])
    canonical_config(data)
    return artifact_digest(data, DIGEST)


def _yaml(document: Any) -> str:
    import yaml

    return str(yaml.safe_dump(document))


def _card(front: Any) -> str:
    return f"---\n{json.dumps(front)}\n---\n# Card\n"


def _claims(card: str) -> object:
    claims = read_claims(card, {DIGEST})
    json.dumps([metric.to_json() for metric in claims.metrics], allow_nan=False).encode()
    "".join([*claims.tags.keys(), *claims.tags.values(), claims.description or ""]).encode()
    return claims


class _FileBeside:
    """Reads an adapter's folder that holds this file as well."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, found: tuple[str, bytes]) -> object:
        name, raw = found
        if not self._folder.is_dir():
            tiny_adapter(self._folder)
        (self._folder / name).write_bytes(raw)
        try:
            return read_artifact(self._folder, _BASE)
        finally:
            (self._folder / name).unlink()


class _RowsFile:
    """Reads rows from a file that holds the bytes given."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, raw: bytes) -> object:
        self._path.write_bytes(raw)
        return load_rows(self._path)
