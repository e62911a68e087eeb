"""LoRA as torch custom operations, opaque to torch's compiler except that they change y.

``lorarack::add_lora(y, x, layer)`` is what the compiled kernel computes, or torch where there is no kernel. Layers that the
kernel does not suit have ``lorarack::add_lora_torch`` instead, on every machine, so that a compiled graph that was kept on
disk means the same layers wherever it is loaded. ``lorarack::add_lora_embedding`` takes tokens that were looked up in A.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import torch

from lorarack.registry.errors import EngineError
from lorarack.server.cpu.kernel import Kernel, suits_kernel
from lorarack.server.cpu.layers import KernelLayer, Layer, TorchLayer
from lorarack.server.cpu.rows import Rows

ADD, ADD_TORCH, ADD_EMBEDDING = "add_lora", "add_lora_torch", "add_lora_embedding"

_logger = logging.getLogger(__name__)
_library = torch.library.Library("lorarack", "DEF")
_torch_layers: dict[str, list[TorchLayer]] = {ADD: [], ADD_TORCH: [], ADD_EMBEDDING: []}


def _add(y: torch.Tensor, x: torch.Tensor, layer: int) -> None:
    _torch_layers[ADD][layer].add(y, x)


def _add_torch(y: torch.Tensor, x: torch.Tensor, layer: int) -> None:
    _torch_layers[ADD_TORCH][layer].add(y, x)


def _add_embedding(y: torch.Tensor, x: torch.Tensor, layer: int) -> None:
    _torch_layers[ADD_EMBEDDING][layer].add_expanded(y, x)


for _name in (ADD, ADD_TORCH, ADD_EMBEDDING):
    _library.define(f"{_name}(Tensor(a!) y, Tensor x, int layer) -> ()")
    torch.library.register_fake(f"lorarack::{_name}", lambda y, x, layer: None, lib=_library)
_library.impl(ADD_TORCH, _add_torch, "CPU")
_library.impl(ADD_EMBEDDING, _add_embedding, "CPU")


class LayerFactory:
    """Makes layers, computed by the kernel if there is one. One per process: operations are global."""

    def __init__(self, kernel: Path | None) -> None:
        self._kernel = _loaded(kernel) if kernel is not None else None
        if self._kernel is None:
            _library.impl(ADD, _add, "CPU")

    def make_rows(self) -> Rows:
        """A table of rows, empty."""
        return Rows(self._kernel)

    def make_layer(
        self, rows: Rows, dtype: torch.dtype, inputs: int, widths: Sequence[int], slots: int, max_rank: int
    ) -> tuple[str, int, Layer]:
        """A linear layer with empty slots, and the operation with the number that compute it."""
        if not suits_kernel(dtype, inputs, max_rank):
            return self._torch_layer(ADD_TORCH, rows, widths)
        if self._kernel is None:
            return self._torch_layer(ADD, rows, widths)
        layer = KernelLayer(self._kernel, rows, dtype, inputs, widths, slots)
        return ADD, layer.index, layer

    def make_embedding(self, rows: Rows, width: int) -> tuple[str, int, Layer]:
        """An embedding with empty slots."""
        return self._torch_layer(ADD_EMBEDDING, rows, [width])

    @property
    def kernel(self) -> Kernel | None:
        """What computes the layers that suit it; None: torch does."""
        return self._kernel

    def _torch_layer(self, operation: str, rows: Rows, widths: Sequence[int]) -> tuple[str, int, Layer]:
        layer = TorchLayer(rows, widths)
        _torch_layers[operation].append(layer)
        return operation, len(_torch_layers[operation]) - 1, layer


def _loaded(path: Path) -> Kernel | None:
    try:
        return Kernel(path)
    except EngineError as error:
        _logger.warning(
            "LoRA is computed with torch alone, which is correct but several times slower: %s", error.message
        )
        return None


_factories: list[LayerFactory] = []


def layer_factory(kernel: Path | None = None) -> LayerFactory:
    """The factory of this process. The first call decides: with that kernel if it can be loaded, else with torch alone."""
    if not _factories:
        _factories.append(LayerFactory(kernel))
    return _factories[0]
