"""What does not fit is an error: the kernel works on addresses, and a wrong one must never get there."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.server.cpu.cases import Case, Computed, fill

from lorarack.registry.errors import EngineError
from lorarack.server.cpu.custom_ops import layer_factory
from lorarack.server.cpu.kernel import Kernel

pytestmark = pytest.mark.torch

CASE = Case((0, -1, 3, 3, 0, 1), 32, (16, 8), ((0, 0, 4), (0, 1, 8), (3, 1, 16)), torch.float32, torch.float32)


@pytest.fixture(params=["kernel", "torch"])
def computed(request: pytest.FixtureRequest) -> Computed:
    if request.param == "kernel" and layer_factory().kernel is None:
        pytest.skip("needs g++")
    made = Computed.make(layer_factory(), CASE, request.param)
    fill(made.layer, CASE.matrices)
    made.rows.assign(torch.tensor(CASE.slots))
    return made


@pytest.mark.parametrize(
    ("slot", "part", "a", "b"),
    [
        (0, 2, (4, 32), (16, 4)),
        (0, -1, (4, 32), (8, 4)),
        (0, 0, (4, 32), (15, 4)),
        (0, 0, (4, 32), (16, 5)),
        (0, 0, (32,), (16, 4)),
        (0, 0, (4, 32), (16, 4, 1)),
        (0, 0, (0, 32), (16, 0)),
    ],
)
def test_matrices_that_do_not_fit_are_refused(
    computed: Computed, slot: int, part: int, a: tuple[int, ...], b: tuple[int, ...]
) -> None:
    """And the slot keeps what it had."""
    before = computed.step(CASE)
    with pytest.raises(ValueError, match="fit"):
        computed.layer.put(slot, part, torch.ones(a), torch.ones(b))
    assert torch.equal(computed.step(CASE), before)


@pytest.mark.parametrize(
    ("slot", "rank", "inputs"), [(4, 4, 32), (-1, 4, 32), (0, 4, 31), (0, 4, 40), (0, 513, 32), (10**6, 4, 32)]
)
def test_the_kernel_refuses_what_its_tables_have_no_place_for(slot: int, rank: int, inputs: int) -> None:
    if layer_factory().kernel is None:
        pytest.skip("needs g++")
    layer = Computed.make(layer_factory(), CASE, "kernel").layer
    with pytest.raises(ValueError, match="place"):
        layer.put(slot, 0, torch.ones(rank, inputs), torch.ones(16, rank))
    if slot not in range(4):
        with pytest.raises(ValueError, match="slot"):
            layer.clear(slot)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda y, x: (y[:4], x[:4]), id="a batch shorter than its mapping"),
        pytest.param(lambda y, x: (y[:5], x[:5]), id="a batch one row shorter"),
        pytest.param(lambda y, x: (y[:0], x[:0]), id="an empty batch"),
        pytest.param(lambda y, x: (y[:5], x), id="fewer rows of output"),
        pytest.param(lambda y, x: (y, x[:5]), id="fewer rows of input"),
        pytest.param(lambda y, x: (y, x[:, :31]), id="a narrower input"),
        pytest.param(lambda y, x: (y, torch.ones(6, 40)), id="a wider input"),
        pytest.param(lambda y, x: (y[:, :16], x), id="an output without the last slice"),
        pytest.param(lambda y, x: (y[0], x[0]), id="one axis"),
        pytest.param(lambda y, x: (y[None], x[None]), id="three axes"),
        pytest.param(lambda y, x: (y.to(torch.int32), x), id="whole numbers as output"),
    ],
)
def test_a_batch_that_does_not_fit_is_an_error(
    computed: Computed, spoil: Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
) -> None:
    y, x = spoil(CASE.y(), CASE.x())
    with pytest.raises((RuntimeError, IndexError)):
        computed.add(y, x)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda y, x: (y, x.bfloat16()), id="input of another type than the weights"),
        pytest.param(lambda y, x: (y, x.double()), id="float64 input"),
        pytest.param(lambda y, x: (y.half(), x), id="float16 output"),
        pytest.param(lambda y, x: (y, x.T.contiguous().T), id="input by columns"),
        pytest.param(lambda y, x: (y.T.contiguous().T, x), id="output by columns"),
        pytest.param(lambda y, x: (y[:, ::2], x[:, ::2].repeat(1, 2)), id="every other column"),
    ],
)
def test_the_kernel_refuses_what_it_was_not_compiled_for(
    spoil: Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]],
) -> None:
    if layer_factory().kernel is None:
        pytest.skip("needs g++")
    made = Computed.make(layer_factory(), CASE, "kernel")
    fill(made.layer, CASE.matrices)
    made.rows.assign(torch.tensor(CASE.slots))
    y, x = spoil(CASE.y(), CASE.x())
    with pytest.raises(RuntimeError, match="LoRA"):
        made.add(y, x)


def test_a_slot_that_the_layer_lacks_is_an_error_in_the_kernel() -> None:
    """A mapping for another engine's slots would read another layer's memory."""
    if layer_factory().kernel is None:
        pytest.skip("needs g++")
    made = Computed.make(layer_factory(), CASE, "kernel")
    fill(made.layer, CASE.matrices)
    with pytest.raises(RuntimeError, match="a slot that the layer lacks"):
        made.step(replace(CASE, slots=(0, 4)))


@pytest.mark.parametrize("slots", [torch.tensor([0, 1], dtype=torch.int32), torch.tensor([0.0, 1.0])])
def test_slots_are_int64(slots: torch.Tensor) -> None:
    if layer_factory().kernel is None:
        pytest.skip("needs g++")
    with pytest.raises(ValueError, match="int64"):
        layer_factory().make_rows().assign(slots)


@pytest.mark.parametrize("operation", ["add_lora", "add_lora_torch", "add_lora_embedding"])
def test_a_layer_that_nobody_made_is_an_error(operation: str) -> None:
    with pytest.raises((RuntimeError, IndexError)):
        getattr(torch.ops.lorarack, operation)(CASE.y(), CASE.x(), 10**6)


def test_a_file_that_is_no_kernel_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "kernel.so").write_text("not a library")
    with pytest.raises(EngineError, match="cannot be loaded") as refused:
        Kernel(tmp_path / "kernel.so")
    assert "\n" not in refused.value.message


def test_with_a_kernel_that_cannot_be_loaded_torch_computes(tmp_path: Path) -> None:
    """As with one that another system made. In a process of its own: the first call decides for all others."""
    (tmp_path / "kernel.so").write_text("not a library")
    code = (
        "import sys, pathlib, torch\n"
        "from lorarack.server.cpu.custom_ops import layer_factory\n"
        "factory = layer_factory(pathlib.Path(sys.argv[1]))\n"
        "rows = factory.make_rows()\n"
        "_, number, layer = factory.make_layer(rows, torch.float32, 8, [2], 1, 8)\n"
        "layer.put(0, 0, torch.ones(1, 8), torch.ones(2, 1))\n"
        "rows.assign(torch.tensor([0, -1]))\n"
        "y = torch.zeros(2, 2)\n"
        "torch.ops.lorarack.add_lora(y, torch.ones(2, 8), number)\n"
        "print(factory.kernel is not None, y.tolist())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "kernel.so"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False [[8.0, 8.0], [0.0, 0.0]]\n"
    assert "LoRA is computed with torch alone" in done.stderr
