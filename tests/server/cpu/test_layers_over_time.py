"""Adapters come and go between steps; every step sees what is in the slots at that moment, and nothing of what was."""

import random
from typing import Any

import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from tests.server.cpu.cases import SLOTS, Case, Computed, assert_right, draw

from lorarack.server.cpu.custom_ops import layer_factory
from lorarack.server.cpu.kernel import Kernel

pytestmark = pytest.mark.torch

WIDTHS = (40, 16)
INPUTS = 48
MIB = 2**20
PARTS = st.integers(0, len(WIDTHS) - 1)
HELD = st.integers(0, SLOTS - 1)


class Slots(RuleBasedStateMachine):
    """Both kinds of layer, two of each with the same rows, beside a dictionary of what ought to be in their slots."""

    @initialize(dtype=st.sampled_from([torch.bfloat16, torch.float32]))
    def begin(self, dtype: torch.dtype) -> None:
        self.empty = Case((), INPUTS, WIDTHS, (), dtype, dtype)
        kinds = ["kernel", "torch"] if layer_factory().kernel else ["torch"]
        self.layers = [
            (Computed.make(layer_factory(), self.empty, kind), dict[tuple[int, int], Any]()) for kind in kinds * 2
        ]

    @rule(
        slot=HELD,
        part=PARTS,
        rank=st.sampled_from([1, 4, 7, 8, 16, 30]),
        seed=st.integers(0, 99),
        which=st.integers(0, 1),
    )
    def put(self, slot: int, part: int, rank: int, seed: int, which: int) -> None:
        """Into an empty slot, or over what is there. What it was copied from may change afterwards."""
        source = torch.Generator().manual_seed(seed)
        a = draw(source, True, rank, INPUTS, most=1).to(self.empty.weights)
        b = draw(source, True, WIDTHS[part], rank, most=2).to(self.empty.weights)
        for layer, held in self.layers[which::2]:
            lent = a.clone(), b.clone()
            layer.layer.put(slot, part, *lent)
            for matrix in lent:
                matrix.fill_(9)
            held[slot, part] = (a, b)

    @rule(slot=HELD, which=st.integers(0, 1))
    def clear(self, slot: int, which: int) -> None:
        """Also a slot that is empty."""
        for layer, held in self.layers[which::2]:
            layer.layer.clear(slot)
            for part in range(len(WIDTHS)):
                held.pop((slot, part), None)

    @rule(slots=st.lists(st.integers(-1, SLOTS - 1), max_size=20), seed=st.integers(0, 99))
    def step(self, slots: list[int], seed: int) -> None:
        """One batch through all layers."""
        case = Case(tuple(slots), INPUTS, WIDTHS, (), self.empty.weights, self.empty.output, seed=seed)
        for layer, held in self.layers:
            assert_right(case, layer.step(case), held)

    def teardown(self) -> None:
        """Give the memory back."""
        for layer, _ in getattr(self, "layers", []):
            layer.empty()


TestSlots = settings(max_examples=25, stateful_step_count=25)(Slots).TestCase


@pytest.fixture
def kernel() -> Kernel:
    kernel = layer_factory()._kernel
    if kernel is None:
        pytest.skip("needs g++")
    return kernel


def test_memory_does_not_grow_with_adapters_that_come_and_go(kernel: Kernel) -> None:
    """Adapters of many layers are loaded over others, in any order, hundreds of times: what the slots hold is what is taken."""
    case = Case((), 512, (512,), (), torch.bfloat16, torch.bfloat16)
    layers = [Computed.make(layer_factory(), case, "kernel") for _ in range(30)]
    a, b = torch.ones(16, 512, dtype=torch.bfloat16), torch.ones(512, 16, dtype=torch.bfloat16)
    before, largest = kernel.bytes(), 0
    pick = random.Random(1)
    for _ in range(200):
        slot = pick.randrange(SLOTS)
        for layer in layers:
            layer.layer.put(slot, 0, a, b)
        largest = max(largest, kernel.bytes() - before)
    adapter = len(layers) * 2 * a.numel() * 2  # 0.94 MiB; 200 of them are 188 MiB
    # Chunks of 16 MiB: of each adapter's own at most one more than it fills, and one that is being filled.
    assert SLOTS * adapter <= largest <= SLOTS * (adapter + 16 * MIB) + 16 * MIB
    for layer in layers:
        layer.empty()
    assert kernel.bytes() <= before + 16 * MIB


def test_an_adapter_larger_than_a_chunk_is_held_and_given_back(kernel: Kernel) -> None:
    """A head over a large vocabulary: B alone is 25 MiB."""
    case = Case((0,), 64, (50_001,), ((0, 0, 250),), torch.bfloat16, torch.float32)
    before = kernel.bytes()
    layer = Computed.make(layer_factory(), case, "kernel")
    layer.layer.put(0, 0, *case.matrices[0, 0])
    assert_right(case, layer.step(case))
    assert kernel.bytes() - before >= 50_001 * 250 * 2
    layer.empty()
    assert kernel.bytes() <= before + 16 * MIB


def test_slots_of_different_layers_are_apart(kernel: Kernel) -> None:
    """The same slot of two layers over the same rows holds two adapters."""
    first = Case((0, 1, -1), 16, (24,), ((0, 0, 4), (1, 0, 8)), torch.float32, torch.float32, seed=1)
    second = Case((0, 1, -1), 32, (16,), ((0, 0, 16), (1, 0, 1)), torch.bfloat16, torch.float32, seed=2)
    layers = [Computed.make(layer_factory(), case, "kernel") for case in (first, second)]
    for computed, case in zip(layers, (first, second), strict=True):
        for (slot, part), matrices in case.matrices.items():
            computed.layer.put(slot, part, *matrices)
    for computed, case in zip(layers, (first, second), strict=True):
        assert_right(case, computed.step(case))
