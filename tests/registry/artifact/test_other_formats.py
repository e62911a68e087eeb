"""Folders that are no PEFT adapter: what they are is told by their file names, and where the adapter is."""

import re
from pathlib import Path

import pytest
from tests.registry.artifacts import read_artifact
from tests.tiny import tiny_adapter

from lorarack.registry import Base
from lorarack.registry.errors import InvalidArtifact

CONFIG = "adapter_config.json"

FOLDERS: dict[str, tuple[tuple[str, ...], str]] = {
    "MLX": ((CONFIG, "adapters.safetensors"), "it is an adapter of MLX, not of PEFT; transpose each lora_a"),
    "MLX of old": ((CONFIG, "adapters.npz"), "it is an adapter of MLX"),
    "shards": (
        (CONFIG, "adapter_model-00001-of-00002.safetensors", "adapter_model-00002-of-00002.safetensors",
         "adapter_model.safetensors.index.json"),
        "its weights are spread over 2 files .*join them with safetensors' load_file and save_file",
    ),
    "an index alone": ((CONFIG, "adapter_model.safetensors.index.json"), "the index of weights .* but not the files"),
    "a pickle": ((CONFIG, "adapter_model.bin"), r"a pickle \(adapter_model.bin\).*safe_serialization=True"),
    "another name": ((CONFIG, "lora.safetensors"), "if 'lora.safetensors' is that file, rename it"),
    "GGUF": (("adapter.gguf",), "it is a GGUF file.*publish the PEFT folder that it was converted from"),
    "diffusers": (("pytorch_lora_weights.safetensors",), "a LoRA for an image model as diffusers writes it"),
    "a whole model": (("config.json", "model.safetensors"), "a whole model, not an adapter; add it with 'lorarack base add'"),
    "a whole model in shards": (
        ("config.json", "model-00001-of-00002.safetensors", "model.safetensors.index.json"), "a whole model, not an adapter",
    ),
    "an archive": (("weights.tar.gz",), "it holds an archive; unpack it"),
    "DeepSpeed": ((CONFIG, "zero_to_fp32.py", "latest"), "in the shards of DeepSpeed or FSDP; gather them"),
    "configuration alone": ((CONFIG,), "it has no adapter_model.safetensors"),
    "nothing": ((), "it has no adapter_config.json; give the folder that PEFT's save_pretrained wrote"),
}  # fmt: skip


def problems_of(folder: Path, base: Base) -> tuple[str, ...]:
    with pytest.raises(InvalidArtifact) as raised:
        read_artifact(folder, base)
    return raised.value.problems


@pytest.mark.parametrize(("names", "said"), FOLDERS.values(), ids=FOLDERS)
def test_a_folder_of_another_kind_is_told_for_what_it_is(
    names: tuple[str, ...], said: str, tmp_path: Path, base: Base
) -> None:
    for name in names:
        (tmp_path / name).write_bytes(b"{}")
    problems = problems_of(tmp_path, base)
    assert re.search(said, problems[0]), problems
    assert len(problems) == 1 or said.startswith("it has no adapter_config")


def test_a_pointer_in_place_of_the_configuration_is_told(adapter: Path, base: Base) -> None:
    (adapter / CONFIG).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    (problem,) = problems_of(adapter, base)
    assert problem.startswith(f"{CONFIG} is a Git LFS pointer, not the file; run 'git lfs pull'")


# Adapters in subfolders


def test_the_newest_checkpoint_is_the_one_of_the_highest_number(tmp_path: Path, base: Base) -> None:
    for step in (99, 200, 1000):
        tiny_adapter(tmp_path / f"checkpoint-{step}")
    (tmp_path / "checkpoint-5000").mkdir()  # with no adapter in it
    assert (
        "for example its 'checkpoint-1000' (others: 'checkpoint-200', 'checkpoint-99')"
        in problems_of(tmp_path, base)[0]
    )


def test_adapters_under_any_name_are_found_one_or_two_folders_below(tmp_path: Path, base: Base) -> None:
    """PEFT writes an adapter that is not called 'default' into a folder of its name; ms-swift puts runs into folders."""
    tiny_adapter(tmp_path / "v0-20261125" / "checkpoint-50")
    assert "for example its 'v0-20261125/checkpoint-50'" in problems_of(tmp_path, base)[0]
    tiny_adapter(tmp_path / "french")
    problem = problems_of(tmp_path, base)[0]
    assert "'v0-20261125/checkpoint-50'" in problem
    assert "'french'" in problem


def test_the_roots_adapter_comes_before_its_checkpoints(adapter: Path, base: Base) -> None:
    tiny_adapter(adapter / "checkpoint-10", rank=8)
    assert read_artifact(adapter, base).rank == 4
