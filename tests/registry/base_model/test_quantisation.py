"""A quantised copy has the modules and the parameters of its original, whatever way they are stored."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.tiny import BASE_CONFIG, base_tensors, tiny_adapter, tiny_base, write_json, write_safetensors

from lorarack.registry import open_registry
from lorarack.registry.base_model.files import FolderFiles
from lorarack.registry.base_model.fingerprint import look_at_base

Stored = dict[str, NDArray[Any]]


def words(*shape: int) -> NDArray[Any]:
    return np.ones(shape, np.int32)


def awq(out: int, width: int) -> Stored:
    return {"qweight": words(width, out // 8), "qzeros": words(2, out // 8), "scales": np.ones((2, out), np.float16)}


def gptq(bits: int, *, ordered: bool = True) -> Any:
    def store(out: int, width: int) -> Stored:
        found = {
            "qweight": words(width * bits // 32, out),
            "qzeros": words(2, out * bits // 32),
            "scales": np.ones((2, out), np.float16),
        }
        return found | ({"g_idx": words(width)} if ordered else {})

    return store


def packed(bits: int, *, shape: bool) -> Any:
    def store(out: int, width: int) -> Stored:
        found = {"weight_packed": words(out, width * bits // 32), "weight_scale": np.ones((out, 2), np.float16)}
        return found | ({"weight_shape": np.array([out, width], np.int64)} if shape else {})

    return store


def eight_bits(out: int, width: int) -> Stored:
    return {"weight": np.ones((out, width), np.int8), "weight_scale": np.ones((out, 1), np.float32)}


def bnb(out: int, width: int) -> Stored:
    state = json.dumps({"quant_type": "nf4", "blocksize": 64, "dtype": "bfloat16", "shape": [out, width]}).encode()
    return {
        "weight": np.ones((out * width // 2, 1), np.uint8),
        "weight.absmax": np.ones(max(1, out * width // 64), np.uint8),
        "weight.quant_map": np.ones(16, np.float32),
        "weight.nested_absmax": np.ones(1, np.float32),
        "weight.nested_quant_map": np.ones(256, np.float32),
        "weight.quant_state.bitsandbytes__nf4": np.frombuffer(state, np.uint8),
    }


def modelopt(out: int, width: int) -> Stored:
    return {
        "weight": np.ones((out, width // 2), np.uint8),
        "weight_scale": np.ones((out, max(1, width // 16)), np.uint8),
        "weight_scale_2": np.ones(1, np.float32),
        "input_scale": np.ones(1, np.float32),
    }


def groups(bits: int) -> dict[str, Any]:
    group = {"weights": {"num_bits": bits}, "targets": ["Linear"]}
    return {"quant_method": "compressed-tensors", "config_groups": {"group_0": group}}


METHODS: dict[str, tuple[Any, dict[str, Any]]] = {
    "AWQ": (awq, {"quantization_config": {"quant_method": "awq", "bits": 4}}),
    "GPTQ of 4 bits": (gptq(4), {"quantization_config": {"quant_method": "gptq", "bits": 4}}),
    "GPTQ of 8 bits": (gptq(8), {"quantization_config": {"quant_method": "gptq", "bits": 8}}),
    "GPTQ without an order": (gptq(4, ordered=False), {}),
    "compressed-tensors": (packed(4, shape=True), {"quantization_config": groups(4)}),
    "compressed-tensors of 8 bits, by the configuration": (packed(8, shape=False), {"compression_config": groups(8)}),
    "compressed-tensors in text_config": (packed(8, shape=False), {"text_config": {"quantization_config": groups(8)}}),
    "8 bits": (eight_bits, {"quantization_config": {"quant_method": "compressed-tensors"}}),
    "bitsandbytes": (bnb, {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}}),
    "ModelOpt": (modelopt, {"quantization_config": {"quant_method": "modelopt"}}),
}  # fmt: skip


def quantise(folder: Path, store: Any, config: dict[str, Any]) -> Path:
    """The tiny base with its linear layers stored that way."""
    tiny_base(folder)
    tensors: Stored = {}
    for name, array in base_tensors().items():
        if name.endswith("_proj.weight"):
            module = name.removesuffix(".weight")
            tensors |= {f"{module}.{kind}": stored for kind, stored in store(*array.shape).items()}
        else:
            tensors[name] = array
    write_safetensors(folder / "model.safetensors", tensors)
    write_json(folder / "config.json", BASE_CONFIG | config)
    return folder


@pytest.mark.parametrize(("store", "config"), METHODS.values(), ids=METHODS)
def test_the_modules_are_those_of_the_original(store: Any, config: dict[str, Any], tmp_path: Path) -> None:
    original = look_at_base(FolderFiles(tiny_base(tmp_path / "original")))
    copy = look_at_base(FolderFiles(quantise(tmp_path / "copy", store, config)))
    assert (copy.modules, copy.parameters) == (original.modules, original.parameters)


def test_a_linked_copy_takes_its_originals_adapters(tmp_path: Path) -> None:
    with open_registry(tmp_path / "home") as registry:
        registry.add_base(str(tiny_base(tmp_path / "original")), "smol")
        registry.add_base(str(quantise(tmp_path / "copy", *METHODS["AWQ"])), "smol-awq")
        registry.link_base("smol-awq", "smol", "quantized")
        assert registry.publish(tiny_adapter(tmp_path / "a"), "a", base="smol-awq").version.base == "smol-awq"
        assert [base.name for base in registry.originals(registry.base("smol-awq"))] == ["smol-awq", "smol"]


@pytest.mark.parametrize("state", [b"", b"{", b"[]", b'{"shape": [1]}', b'{"shape": ["a", 2]}', b'{"shape": [-1, 2]}'])
def test_a_state_that_says_no_shape_gives_no_module(state: bytes, tmp_path: Path) -> None:
    def broken(out: int, width: int) -> Stored:
        return bnb(out, width) | {"weight.quant_state.bitsandbytes__nf4": np.frombuffer(state, np.uint8)}

    found = look_at_base(FolderFiles(quantise(tmp_path / "copy", broken, METHODS["bitsandbytes"][1])))
    assert (16, 16) not in found.modules.values()
