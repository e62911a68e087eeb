"""An engine process loads adapters from open files, which it keeps, and never by a path on the disk.

In place of methods of vLLM's ``LRUCacheWorkerLoRAManager``. An adapter that fell out of host memory is loaded again
from the file that was handed over with its first load. One that cannot be loaded within a step fails only the requests
that name it.
"""

import dataclasses
import json
import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from vllm.lora.lora_model import LoRAModel
from vllm.lora.peft_helper import PEFTHelper
from vllm.lora.request import LoRARequest
from vllm.lora.utils import is_base_embedding_weights, parse_fine_tuned_lora_name
from vllm.lora.worker_manager import LRUCacheWorkerLoRAManager
from vllm.platforms import current_platform

from lorarack.server.adapter_copy import SCALINGS
from lorarack.server.vllm.lora_path import file_to_load

_logger = logging.getLogger(__name__)


class AdapterFiles:
    """Open adapter files by engine id, of one worker."""

    def __init__(self) -> None:
        self._handles: dict[int, int] = {}
        #: Engine ids that could not be loaded for the step that is running.
        self.failed: frozenset[int] = frozenset()

    def take(self, engine_id: int, path: Path) -> None:
        """Keep the open file behind ``path``, in place of the one that was kept under the number."""
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.drop(engine_id)
        self._handles[engine_id] = handle

    def path(self, engine_id: int) -> str:
        """A path under which this process alone can read the file.

        Raises:
            LookupError: there is none: the adapter was removed.
        """
        if engine_id not in self._handles:
            raise LookupError(f"the adapter with engine id {engine_id} was removed")
        return f"/proc/self/fd/{self._handles[engine_id]}"

    def drop(self, engine_id: int) -> None:
        """Close the file."""
        handle = self._handles.pop(engine_id, None)
        if handle is not None:
            os.close(handle)


class ResolvedConfig(PEFTHelper):
    """A configuration in which rank and scaling of each module are worked out."""

    def __init__(self, scalings: dict[str, list[Any]]) -> None:
        super().__init__(r=max(rank for rank, _ in scalings.values()), lora_alpha=1, target_modules=[])
        self._scalings = scalings

    def get_rank_and_scaling(self, module_name: str) -> tuple[int, float]:
        """As vLLM asks for each module of the file."""
        rank, scaling = self._scalings[module_name]
        return int(rank), float(scaling)


def patch_loading() -> None:
    """Replace vLLM's loading. Once per process."""
    manager: Any = LRUCacheWorkerLoRAManager
    if getattr(manager, "_lorarack", False):
        return
    manager._lorarack = True
    add, remove = manager.add_adapter, manager.remove_adapter

    def add_adapter(self: Any, request: LoRARequest) -> bool:
        if (path := file_to_load(request.lora_path)) is not None:
            remove_adapter(self, request.lora_int_id)  # another adapter's, where a catalog came back from a copy
            adapter_files(self).take(request.lora_int_id, path)
            try:
                return bool(add(self, request))
            except BaseException:
                remove_adapter(self, request.lora_int_id)
                raise
        return bool(add(self, request))

    def remove_adapter(self: Any, adapter_id: int) -> bool:
        adapter_files(self).drop(adapter_id)
        return bool(remove(self, adapter_id))

    def set_active_adapters(self: Any, requests: set[Any], mapping: Any) -> None:
        _set_active(self, add, requests, mapping)

    def load_adapter(self: Any, request: LoRARequest) -> LoRAModel:
        path = adapter_files(self).path(request.lora_int_id)
        packed = _load_packed(self, path, request) if current_platform.is_cpu() else None
        return _load(self, path, request) if packed is None else packed

    manager.add_adapter, manager.remove_adapter = add_adapter, remove_adapter
    manager.set_active_adapters, manager._load_adapter = set_active_adapters, load_adapter


def _set_active(manager: Any, add: Callable[[Any, LoRARequest], bool], requests: set[Any], mapping: Any) -> None:
    """Have the slots hold a step's adapters. Takes no longer where more are loaded, so vLLM's lists are not asked for."""
    adapters, kept = manager._adapter_manager, adapter_files(manager)
    if len(requests) > adapters.lora_slots:
        raise RuntimeError(f"{len(requests)} adapters are to share a step, and there are {adapters.lora_slots} slots")
    # Those in memory come first: touched, they are not the ones that make way.
    in_memory = [request for request in requests if adapters.get_adapter(request.lora_int_id) is not None]
    for request in in_memory:
        adapters.activate_adapter(request.lora_int_id)
    failed = set()
    for request in requests.difference(in_memory):
        try:
            add(manager, request)
        except Exception as error:  # noqa: BLE001 - any error here is this adapter's
            _logger.error("%s failed its requests, and only these: %s", request.lora_name, error)
            failed.add(request.lora_int_id)
    kept.failed = frozenset(failed)
    if mapping is not None:
        adapters.set_adapter_mapping(_without(mapping, kept.failed) if failed else mapping)


def adapter_files(manager: Any) -> AdapterFiles:
    """The files of a worker's manager."""
    kept = manager.__dict__.get("_lorarack_files")
    if kept is None:
        kept = manager._lorarack_files = AdapterFiles()
    return kept


def _without(mapping: Any, failed: frozenset[int]) -> Any:
    """``mapping`` with the base in the place of failed adapters; their rows are failed before anybody gets them."""
    fields = {
        name: tuple(0 if number in failed else number for number in getattr(mapping, name))
        for name in ("index_mapping", "prompt_mapping")
    }
    return dataclasses.replace(mapping, **fields)


def _load_packed(manager: Any, path: str, request: LoRARequest) -> LoRAModel | None:
    from lorarack.server.cpu.packed_adapters import load_packed

    model: LoRAModel | None = load_packed(manager._adapter_manager, request.lora_int_id, path)
    return model


def _load(manager: Any, path: str, request: LoRARequest) -> LoRAModel:
    """As vLLM's ``_load_adapter``, from one file."""
    adapters = manager._adapter_manager
    tensors: dict[str, torch.Tensor] = {}
    with safe_open(path, framework="pt") as file:
        config = ResolvedConfig(json.loads(file.metadata()[SCALINGS]))
        for name in file.keys():  # noqa: SIM118 - no mapping
            tensors[name] = file.get_tensor(name)
    config.validate_legal(manager.lora_config)
    _refuse_unknown(tensors, adapters)
    mapper = getattr(adapters.model, "hf_to_vllm_mapper", None)
    model: LoRAModel = manager._lora_model_cls.from_lora_tensors(
        lora_model_id=request.lora_int_id,
        tensors=tensors,
        peft_helper=config,
        device="cpu",
        dtype=manager.lora_config.lora_dtype,
        model_vocab_size=manager.vocab_size,
        weights_mapper=mapper.get_rename_mapper() if mapper is not None else None,
        skip_prefixes=getattr(adapters.model, "lora_skip_prefixes", None),
    )
    model.is_3d_lora_weight = request.is_3d_lora_weight
    _refuse_overflow(model)
    adapters._validate_moe_lora_format(model)
    adapters._validate_modules_to_save(model)
    adapters._validate_token_classification_lora(model)
    return model


def _refuse_unknown(tensors: Iterable[str], adapters: Any) -> None:
    """vLLM would ignore weights of modules that it cannot adapt."""
    known = set(adapters.supported_lora_modules)
    for packed in adapters.supported_lora_modules:
        known.update(adapters.packed_modules_mapping.get(packed, ()))
    for name in tensors:
        if not is_base_embedding_weights(name):
            module, _ = parse_fine_tuned_lora_name(name)
            if module.rpartition(".")[2] not in known and ".experts" not in module:
                raise ValueError(f"vLLM cannot adapt {module} in this model; train without it")


def _refuse_overflow(model: LoRAModel) -> None:
    """In the engine's number type every weight, and B times its scaling, must be finite."""
    for name, layer in model.loras.items():
        for matrix, scale in ((layer.lora_a, 1.0), (layer.lora_b, layer.scaling)):
            for part in matrix if isinstance(matrix, list) else [matrix]:
                if part is None or not part.numel():
                    continue
                if not float(part.abs().amax()) * abs(scale) <= torch.finfo(part.dtype).max:
                    kind = str(part.dtype).removeprefix("torch.")
                    raise ValueError(f"the weights of {name} overflow {kind}; train or convert it again")
