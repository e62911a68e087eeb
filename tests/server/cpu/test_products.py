"""The benchmark that holds tiles against a library's products holds equal things against each other."""

import pytest
import torch
from benchmarks.cpu_lora import products

from lorarack.server.cpu.custom_ops import layer_factory

pytestmark = pytest.mark.torch


def test_a_library_computes_what_the_tiles_compute() -> None:
    """In bfloat16, rounded once more in between than the tiles, which are held to float64 elsewhere."""
    torch.manual_seed(0)
    factory = layer_factory()
    rows = factory.make_rows()
    layer = products._make(factory, rows, 4, 16, (8, 24))
    rows.assign(torch.arange(2).repeat_interleave(3))
    x, segments = products._random(6, 16), [slice(0, 3), slice(3, 6)]
    found = [torch.zeros(6, 32, dtype=torch.bfloat16) for _ in range(3)]
    for way, y in zip((products._tiles, products._pairs, products._joined), found, strict=True):
        way(layer, x, y, segments)
    assert found[0].abs().max() > 0.001
    for y in found[1:]:
        torch.testing.assert_close(found[0], y, rtol=0.05, atol=1e-4)
