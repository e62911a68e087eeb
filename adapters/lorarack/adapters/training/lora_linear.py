"""LoRA on a linear layer as one operation: the same products as PEFT's, without the copies between them.

PEFT casts the input to the float32 of A and B, autocast casts it back, and product, scaling and sum are a pass over memory each;
what the backward pass needs is kept in both types. Here the input is kept once, in the type that is computed in, and the adapter's
product is added where the base's lies. The outcome of the forward pass is PEFT's.
"""

from types import MethodType
from typing import Any

import torch
from peft.tuners.lora.layer import Linear
from torch import nn
from torch.autograd.function import once_differentiable


def fuse_lora(adapted: Any) -> None:
    """Have the plain LoRA layers of a PEFT model compute as ``lora_linear``; all others stay PEFT's.

    Plain is A and B on a dense linear layer that is not quantised, without dropout.
    """
    for module in adapted.modules():
        if type(module) is Linear and type(module.base_layer) is nn.Linear and _plain(module):
            module.forward = MethodType(_forward, module)


def lora_linear(x: Any, weight: Any, bias: Any, a: Any, b: Any, scaling: float) -> Any:
    """``x Wᵀ + bias + scaling · (x Aᵀ) Bᵀ``, in the type of ``x``.

    Args:
        x: (…, in).
        weight: (out, in), frozen, of the type of ``x``.
        bias: (out), frozen, or None.
        a: (rank, in), of any type; its gradient has the same.
        b: (out, rank), likewise.
        scaling: of the adapter.
    """
    return _LoraLinear.apply(x, weight, bias, a, b, scaling)


class _LoraLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any, weight: Any, bias: Any, a: Any, b: Any, scaling: float) -> Any:
        rows = x.reshape(-1, x.shape[-1])
        low_a, low_b = a.to(x.dtype), b.to(x.dtype)
        inner = rows @ low_a.t()
        out = nn.functional.linear(rows, weight, bias).addmm_(inner, low_b.t(), alpha=scaling)
        ctx.save_for_backward(rows, inner, weight, low_a, low_b)
        ctx.scaling, ctx.types = scaling, (a.dtype, b.dtype)
        return out.view(*x.shape[:-1], out.shape[-1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Any) -> Any:
        rows, inner, weight, a, b = ctx.saved_tensors
        shape, grad = grad.shape, grad.reshape(-1, grad.shape[-1])
        type_a, type_b = ctx.types
        grad_inner = grad @ b
        grad_a = (grad_inner.t() @ rows).to(type_a).mul_(ctx.scaling)
        grad_b = (grad.t() @ inner).to(type_b).mul_(ctx.scaling)
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = (grad @ weight).addmm_(grad_inner, a, alpha=ctx.scaling).view(*shape[:-1], -1)
        return grad_x, None, None, grad_a, grad_b, None


def _plain(module: Any) -> bool:
    return (
        list(module.lora_A) == ["default"]
        and not module.lora_variant
        and not module.fan_in_fan_out
        and isinstance(module.lora_dropout["default"], nn.Identity)
        and module.lora_B["default"].bias is None
    )


def _forward(module: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
    """PEFT's ``Linear.forward``, where it computes in one type."""
    base, a, b = module.base_layer, module.lora_A["default"].weight, module.lora_B["default"].weight
    device = x.device.type
    computed = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else a.dtype
    if args or kwargs or module.disable_adapters or module.merged or base.weight.dtype != computed:
        return Linear.forward(module, x, *args, **kwargs)
    return lora_linear(x.to(computed), base.weight, base.bias, a, b, module.scaling["default"])
