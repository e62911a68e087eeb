"""Which modules a quantised copy has and how large they are, told from how each method stores them.

======================  ==========================================================================================
GPTQ                    ``qweight`` (in × bits / 32, out), ``qzeros`` (groups, out × bits / 32), ``scales``
AWQ                     ``qweight`` (in, out × bits / 32), ``qzeros`` (groups, out × bits / 32), ``scales`` (groups, out)
compressed-tensors      ``weight_packed`` (out, in × bits / 32 or / 8), and its shape in ``weight_shape``
bitsandbytes, 4 bits    ``weight`` in one column of bytes, its shape in ``weight.quant_state.bitsandbytes__nf4``
ModelOpt, 4 bits        ``weight`` (out, in / 2) in bytes, ``weight_scale_2``
8 bits, any             ``weight`` (out, in), as without quantisation
======================  ==========================================================================================
"""

import json
import struct
from typing import Any

from lorarack.registry.artifact.weights import Tensor
from lorarack.registry.values import ModuleTable

#: Last parts of names of tensors that only say how others are stored.
HELPERS = frozenset({
    "qzeros", "scales", "g_idx", "weight_scale", "weight_scale_inv", "weight_scale_2", "weight_zero_point", "weight_shape",
    "weight_g_idx", "weight_global_scale", "input_scale", "input_zero_point", "input_global_scale", "k_scale", "v_scale",
    "output_scale", "q_scale", "SCB", "weight_format", "absmax", "quant_map",
})  # fmt: skip
_BNB_STATE = ".weight.quant_state.bitsandbytes__"
_WORD = 32


def holds_shape(name: str) -> bool:
    """Whether the shape of a packed module is written in the tensor called ``name``."""
    return _BNB_STATE in name or name.endswith(".weight_shape")


def quantised_modules(tensors: list[Tensor], config: dict[str, Any], notes: dict[str, bytes]) -> ModuleTable:
    """Packed modules by the names in the files: (out, in)."""
    by_name = {tensor.name: tensor for tensor in tensors}
    table: ModuleTable = {}
    for tensor in tensors:
        module, _, kind = tensor.name.rpartition(".")
        shape = None
        if kind == "qweight" and len(tensor.shape) == 2:
            shape = _gptq_or_awq(tensor, by_name.get(f"{module}.scales"), by_name.get(f"{module}.qzeros"))
        elif kind == "weight_packed" and len(tensor.shape) == 2:
            shape = _written(notes.get(f"{module}.weight_shape")) or _packed(tensor, config, module)
        elif kind == "weight" and tensor.dtype == "U8" and f"{module}.weight_scale_2" in by_name:
            shape = (tensor.shape[0], tensor.shape[1] * 2) if len(tensor.shape) == 2 else None
        elif _BNB_STATE in tensor.name:
            module = tensor.name.partition(_BNB_STATE)[0]
            shape = _bnb_shape(notes.get(tensor.name, b""))
        if shape is not None:
            table[module] = shape
    return table


def _gptq_or_awq(qweight: Tensor, scales: Tensor | None, qzeros: Tensor | None) -> tuple[int, int] | None:
    if scales is None or len(scales.shape) != 2:
        return None
    rows, columns = qweight.shape
    out = scales.shape[1]
    if columns != out:  # packed along the output: AWQ
        return out, rows
    if qzeros is None or len(qzeros.shape) != 2 or not qzeros.shape[1]:
        return None
    bits = qzeros.shape[1] * _WORD // out
    return (out, rows * _WORD // bits) if bits else None


def _packed(tensor: Tensor, config: dict[str, Any], module: str) -> tuple[int, int] | None:
    bits = 4 if tensor.dtype == "U8" else _bits(config, module)
    unit = 8 if tensor.dtype == "U8" else _WORD
    return (tensor.shape[0], tensor.shape[1] * unit // bits) if bits else None


def _bits(config: dict[str, Any], module: str) -> int:
    """Bits per weight as the configuration's groups say, the first that names the module or all linear layers."""
    text = config.get("text_config")
    places = [config, text if isinstance(text, dict) else {}]
    said: dict[str, Any] = next(
        (p[k] for p in places for k in ("quantization_config", "compression_config") if isinstance(p.get(k), dict)), {}
    )
    groups = said.get("config_groups")
    for group in groups.values() if isinstance(groups, dict) else ():
        match group:
            case {"weights": {"num_bits": int(bits)}, "targets": list(targets)} if bits > 0 and any(
                target == "Linear" or str(target).removeprefix("re:").rpartition(".")[2] in module for target in targets
            ):
                return bits
    return 4


def _written(raw: bytes | None) -> tuple[int, int] | None:
    """Two numbers of eight (or four) bytes."""
    if raw is None or len(raw) not in (8, 16):
        return None
    out, width = struct.unpack("<qq" if len(raw) == 16 else "<ii", raw)
    return (out, width) if 0 < out < 2**32 and 0 < width < 2**32 else None


def _bnb_shape(raw: bytes) -> tuple[int, int] | None:
    try:
        state = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    match state:
        case {"shape": [int(out), int(width)]} if 0 < out < 2**32 and 0 < width < 2**32:
            return out, width
    return None
