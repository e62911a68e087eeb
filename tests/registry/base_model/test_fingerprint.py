"""One base model, one fingerprint, wherever and in how many files it lies; another model, another fingerprint."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.tiny import (
    BASE_CONFIG,
    HIDDEN,
    LAYERS,
    LINEAR,
    VOCABULARY,
    base_tensors,
    safetensors_bytes,
    tiny_base,
    write_json,
    write_safetensors,
)

from lorarack.registry.artifact import limits
from lorarack.registry.base_model.files import FolderFiles
from lorarack.registry.base_model.fingerprint import Reading, read_base
from lorarack.registry.base_model.modules import module_table
from lorarack.registry.errors import InvalidArtifact


def read(folder: Path) -> Reading:
    return read_base(FolderFiles(folder))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_base(tmp_path / "base")


def test_the_module_table_has_every_linear_layer_and_the_tied_head(folder: Path) -> None:
    """Shapes are (out, in); norms, which have one dimension, take no adapter."""
    reading = read(folder)
    assert reading.architecture == "LlamaForCausalLM"
    assert reading.vocab_size == VOCABULARY
    assert reading.parameters == sum(array.size for array in base_tensors().values())
    expected = {f"model.layers.{layer}.{name}": shape for layer in range(LAYERS) for name, shape in LINEAR.items()}
    head = {"lm_head": (VOCABULARY, HIDDEN), "model.embed_tokens": (VOCABULARY, HIDDEN)}
    assert reading.modules == expected | head


def test_a_head_that_is_not_tied_is_there_only_if_it_has_a_tensor(folder: Path) -> None:
    assert "lm_head" not in module_table([], {})
    write_json(folder / "config.json", BASE_CONFIG | {"tie_word_embeddings": False})
    assert "lm_head" not in read(folder).modules


def test_the_same_model_in_another_folder_is_the_same(folder: Path, tmp_path: Path) -> None:
    assert read(folder) == read(tiny_base(tmp_path / "copy"))


@pytest.mark.parametrize("shards", [2, 3, 22])
def test_the_same_model_in_more_files_is_the_same(shards: int, folder: Path, tmp_path: Path) -> None:
    """Saving again with another shard size changes no weight."""
    assert read(tiny_base(tmp_path / "sharded", shards=shards)) == read(folder)


def test_files_that_transformers_would_not_load_do_not_count(folder: Path) -> None:
    """Some repositories hold the weights once more in another layout, or an adapter."""
    before = read(folder)
    write_safetensors(folder / "consolidated.safetensors", {"layers.0.wq.weight": np.ones((4, 4), np.float32)})
    write_safetensors(folder / "adapter_model.safetensors", {"a": np.ones((4, 4), np.float32)})
    assert read(folder) == before


def test_an_index_says_which_files_count(folder: Path, tmp_path: Path) -> None:
    sharded = tiny_base(tmp_path / "sharded", shards=2)
    write_safetensors(sharded / "extra.safetensors", {"layers.0.wq.weight": np.ones((4, 4), np.float32)})
    assert read(sharded) == read(folder)


def test_shards_without_an_index_count_all(folder: Path, tmp_path: Path) -> None:
    sharded = tiny_base(tmp_path / "sharded", shards=2)
    (sharded / "model.safetensors.index.json").unlink()
    assert read(sharded) == read(folder)


def test_the_sample_reaches_from_the_first_tensor_to_the_last(tmp_path: Path) -> None:
    """However many tensors there are, a training run that touches all layers touches the sample."""
    folder = tiny_base(tmp_path / "many")
    for count in (47, 48, 49, 95, 97, 500):
        many = {f"t{place:04}": np.zeros(8, np.float32) for place in range(count)}
        write_safetensors(folder / "model.safetensors", many)
        before = read(folder).fingerprint
        for quarter in range(4):
            changed = dict(many)
            for place in range(quarter * count // 4, (quarter + 1) * count // 4):
                changed[f"t{place:04}"] = np.ones(8, np.float32)
            write_safetensors(folder / "model.safetensors", changed)
            assert read(folder).fingerprint != before, (count, quarter)


@pytest.mark.parametrize(
    "index", [{}, {"weight_map": 3}, {"weight_map": {"a": "../x"}}, {"weight_map": {"a": "gone"}}, []]
)
def test_an_index_that_names_no_files_here_is_refused(index: Any, tmp_path: Path) -> None:
    folder = tiny_base(tmp_path / "sharded", shards=2)
    write_json(folder / "model.safetensors.index.json", index)
    with pytest.raises(InvalidArtifact, match=r"model\.safetensors\.index\.json"):
        read(folder)


def test_what_lies_beside_the_weights_does_not_matter(folder: Path) -> None:
    before = read(folder)
    (folder / "README.md").write_text("hello")
    write_json(folder / "generation_config.json", {"temperature": 0.7})
    write_json(folder / "config.json", BASE_CONFIG | {"transformers_version": "9"})
    assert read(folder) == before


def fine_tuned(folder: Path) -> None:
    tensors = {name: array + np.float32(1e-3) for name, array in base_tensors().items()}
    write_safetensors(folder / "model.safetensors", tensors)


def quantised(folder: Path) -> None:
    write_safetensors(folder / "model.safetensors", {n: a.astype(np.float16) for n, a in base_tensors().items()})


def one_more_token(folder: Path) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["added_tokens"].append({"id": 64, "content": "<new>"})
    write_json(folder / "tokenizer.json", tokenizer)


def wider(folder: Path) -> None:
    tensors = base_tensors()
    tensors["model.layers.0.mlp.up_proj.weight"] = np.ones((40, HIDDEN), np.float32)
    write_safetensors(folder / "model.safetensors", tensors)


ANOTHER_MODEL: dict[str, Callable[[Path], object]] = {
    "a fine-tune of the same shape": fine_tuned,
    "another seed": lambda folder: tiny_base(folder, seed=1),
    "half precision": quantised,
    "one more token": one_more_token,
    "a wider layer": wider,
    "another architecture": lambda folder: write_json(
        folder / "config.json", BASE_CONFIG | {"architectures": ["MistralForCausalLM"]}
    ),
}


@pytest.mark.parametrize("change", ANOTHER_MODEL.values(), ids=ANOTHER_MODEL)
def test_another_model_has_another_fingerprint(change: Callable[[Path], object], folder: Path) -> None:
    before = read(folder).fingerprint
    change(folder)
    assert read(folder).fingerprint != before


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12345\n"
NO_MODEL: dict[str, tuple[Callable[[Path], object], str]] = {
    "a pointer for the weights": (
        lambda f: (f / "model.safetensors").write_text(POINTER),
        "model.safetensors is a Git LFS pointer, not the file; run 'git lfs pull'",
    ),
    "a pointer for the configuration": (
        lambda f: (f / "config.json").write_text(POINTER),
        "config.json is a Git LFS pointer",
    ),
    "a pointer for the tokenizer": (
        lambda f: (f / "tokenizer.json").write_text(POINTER),
        "tokenizer.json is a Git LFS pointer",
    ),
    "no configuration": (lambda f: (f / "config.json").unlink(), r"no config.json; give a folder .* transformers"),
    "configuration that is no JSON": (
        lambda f: (f / "config.json").write_text("{"),
        "config.json is not a JSON object",
    ),
    "configuration that is a list": (
        lambda f: (f / "config.json").write_text("[]"),
        "config.json is not a JSON object",
    ),
    "configuration that is deep": (lambda f: (f / "config.json").write_text("[" * 10**5), "is not a JSON object"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "no safetensors weights; convert it"),
    "weights in a pickle": (
        lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"),
        "no safetensors weights; convert it",
    ),
    "weights cut short": (
        lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:-9]),
        "model.safetensors: the file is cut short; download or convert it again",
    ),
    "weights without tensors": (
        lambda f: (f / "model.safetensors").write_bytes(safetensors_bytes({})),
        "holds no tensors",
    ),
    "a huge configuration": (
        lambda f: (f / "config.json").write_text(" " * (limits.MAX_CONFIG_BYTES + 1)),
        "no config.json",
    ),
}


@pytest.mark.parametrize(("spoil", "said"), NO_MODEL.values(), ids=NO_MODEL)
def test_what_is_no_base_model_is_refused(spoil: Callable[[Path], object], said: str, folder: Path) -> None:
    spoil(folder)
    with pytest.raises(InvalidArtifact, match=said) as raised:
        read(folder)
    assert str(folder) in str(raised.value)
    assert "cannot be used as a base" in str(raised.value)


@pytest.mark.parametrize("vocabulary", [None, b"{", b"[]", b'{"model": {}}'])
def test_a_base_without_a_token_table_is_still_a_base(vocabulary: bytes | None, folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    if vocabulary is not None:
        (folder / "tokenizer.json").write_bytes(vocabulary)
    assert read(folder).vocabulary is None


def test_a_copy_under_another_name_of_the_folder_shares_the_reading(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "Ünïcode copy")
    assert read(tmp_path / "Ünïcode copy") == read(folder)
