"""An adapter that is packed where it is fetched computes, bit for bit, what the same one computes that was put matrix by matrix."""

import json
import struct
import tempfile
from pathlib import Path
from typing import IO, Any

import pytest
import torch
from safetensors.torch import save_file

from lorarack.registry.artifact.weights import Pair, pair_up, read_header
from lorarack.registry.errors import EngineError
from lorarack.server.adapter_image import Layout, Packer, Part, read_image
from lorarack.server.cpu.custom_ops import layer_factory
from lorarack.server.cpu.kernel import PackedAdapter
from lorarack.server.cpu.layers import KernelLayer

pytestmark = pytest.mark.torch

INPUTS, WIDTHS, SLOTS = 48, (40, 16), 3
MODULES = ("model.q_proj", "model.k_proj")


class Engine:
    """A layer of two slices, and the packer for it."""

    def __init__(self, kernel: Path, dtype: torch.dtype, max_rank: int = 64) -> None:
        self.dtype, self.rows = dtype, layer_factory().make_rows()
        _, _, layer = layer_factory().make_layer(self.rows, dtype, INPUTS, WIDTHS, SLOTS, max_rank)
        assert isinstance(layer, KernelLayer)
        self.layer = layer
        parts = {name: Part(layer.index, n, INPUTS, WIDTHS[n]) for n, name in enumerate(MODULES)}
        self.packer = Packer(Layout(kernel, dtype == torch.bfloat16, max_rank, parts))

    def answer(self, slot: int) -> torch.Tensor:
        source = torch.Generator().manual_seed(3)
        x = torch.randn(5, INPUTS, generator=source).to(self.dtype)
        y = torch.randn(5, sum(WIDTHS), generator=source).to(self.dtype)
        self.rows.assign(torch.full((5,), slot, dtype=torch.int64))
        torch.ops.lorarack.add_lora(y, x, self.layer.index)
        return y

    def load(self, image: IO[bytes]) -> PackedAdapter:
        found = read_image(image.fileno())
        assert found is not None
        return PackedAdapter(self.layer.kernel, self.layer.kernel.load(found, image.fileno()))


@pytest.fixture(params=[torch.bfloat16, torch.float32], ids=["bf16", "f32"])
def engine(kernel_file: Path, request: pytest.FixtureRequest) -> Engine:
    return Engine(kernel_file, request.param)


def published(
    folder: Path, rank: int, dtype: torch.dtype, modules: tuple[str, ...] = MODULES, size: float = 1.0
) -> Any:
    """Tensors by name, the file's pairs, and its bytes."""
    source = torch.Generator().manual_seed(rank)
    tensors = {}
    for name in modules:
        width = WIDTHS[MODULES.index(name)]
        tensors[f"base_model.model.{name}.lora_A.weight"] = (torch.randn(rank, INPUTS, generator=source) * size).to(
            dtype
        )
        tensors[f"base_model.model.{name}.lora_B.weight"] = torch.randn(width, rank, generator=source).to(dtype)
    save_file(tensors, folder / "weights")
    return tensors, folder / "weights"


def pack(packer: Packer, path: Path, scale: float) -> IO[bytes]:
    with path.open("rb") as file:
        pairs: list[Pair] = list(pair_up(read_header(file, path.stat().st_size)).by_module.values())
    raw = path.read_bytes()
    start = 8 + struct.unpack("<Q", raw[:8])[0]
    scalings = {pair.module: (pair.a.shape[0], scale) for pair in pairs if pair.a}
    assert packer.suits(pairs)
    image = tempfile.TemporaryFile()  # noqa: SIM115 - the caller's
    try:
        packer.write(pairs, scalings, bytearray(raw[start:]), start, image)
    except EngineError:
        image.close()
        raise
    return image


@pytest.mark.parametrize("rank", [1, 3, 8, 16, 30])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_a_packed_adapter_is_the_one_that_is_put(engine: Engine, tmp_path: Path, rank: int, dtype: torch.dtype) -> None:
    """Rounded to the engine's type and scaled as vLLM does it, in either order of kinds of numbers."""
    tensors, path = published(tmp_path, rank, dtype)
    for part, name in enumerate(MODULES):
        a = tensors[f"base_model.model.{name}.lora_A.weight"].to(engine.dtype)
        b = tensors[f"base_model.model.{name}.lora_B.weight"].to(engine.dtype)
        b *= 1.7
        engine.layer.put(0, part, a, b)
    with pack(engine.packer, path, 1.7) as image:
        packed = engine.load(image)
    engine.layer.kernel.use(1, packed.number)
    assert torch.equal(engine.answer(1), engine.answer(0))
    assert not torch.equal(engine.answer(1), engine.answer(2)), "an empty slot"


def test_a_module_that_an_adapter_leaves_alone_is_empty(engine: Engine, tmp_path: Path) -> None:
    _, path = published(tmp_path, 4, torch.float32, MODULES[:1])
    with pack(engine.packer, path, 1.0) as image:
        engine.layer.kernel.use(1, engine.load(image).number)
    engine.layer.put(1, 1, torch.ones(2, INPUTS), torch.ones(WIDTHS[1], 2))
    with pack(engine.packer, path, 1.0) as image:
        packed = engine.load(image)
    engine.layer.kernel.use(1, packed.number)
    assert torch.equal(engine.answer(1)[:, WIDTHS[0] :], engine.answer(2)[:, WIDTHS[0] :])


def test_a_slot_keeps_its_adapter_when_that_is_dropped_and_lets_it_go_when_it_is_emptied(
    engine: Engine, tmp_path: Path
) -> None:
    """Memory is back once neither a slot nor anything else holds the adapter."""
    kernel, before = engine.layer.kernel, engine.layer.kernel.bytes()
    _, path = published(tmp_path, 8, torch.float32)
    numbers = []
    for _ in range(40):
        with pack(engine.packer, path, 1.0) as image:
            packed = engine.load(image)
        numbers.append(packed.number)
        kernel.use(1, packed.number)
        answer = engine.answer(1)
        kernel.use(2, kernel.keep(1))
        del packed
        assert torch.equal(engine.answer(1), answer)
        assert torch.equal(engine.answer(2), answer), "what a slot holds can be kept"
        kernel.drop(numbers[-1] + 1)
        kernel.use(2, 0)
    kernel.use(1, 0)
    assert torch.equal(engine.answer(1), engine.answer(2))
    assert len(set(numbers)) == 40
    assert kernel.bytes() <= before + 32 * 2**20


def test_numbers_that_overflow_are_refused_by_name(kernel_file: Path, tmp_path: Path) -> None:
    """B times its scale, too."""
    engine = Engine(kernel_file, torch.bfloat16)
    for size, scale in ((3.4e38, 1.0), (1.0, 3e38)):
        _, path = published(tmp_path, 16, torch.float32, size=size)
        with pytest.raises(EngineError, match=r"weights of model.[qk]_proj overflow bfloat16"):
            pack(engine.packer, path, scale)


def test_what_the_engine_does_not_take_packed_does_not_suit(engine: Engine, tmp_path: Path) -> None:
    """Another module, another shape, too large a rank, half a pair, an embedding."""
    _, path = published(tmp_path, 4, torch.float32)
    with path.open("rb") as file:
        good = list(pair_up(read_header(file, path.stat().st_size)).by_module.values())
    one = good[0]
    assert one.a
    others = [
        Pair("model.gate_proj", False, one.a, one.b),
        Pair(good[1].module, False, one.a, one.b),
        Pair(one.module, True, one.a, one.b),
        Pair(one.module, False, one.a, None),
    ]
    assert engine.packer.suits(good)
    for other in others:
        assert not engine.packer.suits([*good[1:], other])
    small = Packer(Layout(engine.packer._layout.kernel, True, 2, engine.packer._layout.parts))
    assert not small.suits(good)


def test_an_image_of_another_model_or_cut_short_is_refused(engine: Engine, tmp_path: Path) -> None:
    _, path = published(tmp_path, 4, torch.float32)
    with pack(engine.packer, path, 1.0) as image:
        image.seek(0)
        whole = image.read()
        for place, value in ((0, 10**6), (1, 7), (3, INPUTS + 8), (5, 10**6), (6, 8), (7, -64)):
            damaged = bytearray(whole)
            struct.pack_into("<q", damaged, 32 + 8 * place, value)
            with tempfile.TemporaryFile() as file:
                file.write(damaged)
                file.flush()
                with pytest.raises(EngineError, match="packed for another model"):
                    engine.load(file)
        with tempfile.TemporaryFile() as file:
            file.write(whole[:-64])
            file.flush()
            with pytest.raises(EngineError, match="cut short"):
                engine.load(file)


def test_other_files_are_no_images(tmp_path: Path) -> None:
    for content in (b"", b"\0" * 8, json.dumps({"a": 1}).encode() * 20):
        with tempfile.TemporaryFile() as file:
            file.write(content)
            file.flush()
            assert read_image(file.fileno()) is None
