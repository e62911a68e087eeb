"""LoRA as one operation computes what PEFT computes."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.torch


@pytest.fixture
def adapted(tiny_folder: Path) -> Any:
    """Makes a PEFT model of the tiny base with an adapter that has an effect."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    def make(dtype: str, **settings: Any) -> Any:
        base = AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=getattr(torch, dtype))
        config = LoraConfig(r=4, lora_alpha=6, target_modules="all-linear", task_type="CAUSAL_LM", **settings)
        torch.manual_seed(0)
        model = get_peft_model(base, config)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.data.normal_(std=0.2)
        return model

    return make


def _fused(model: Any) -> int:
    """How many layers compute in one operation."""
    from peft.tuners.lora.layer import Linear

    return sum(isinstance(module, Linear) and "forward" in vars(module) for module in model.modules())


def _losses(model: Any, dtype: str) -> tuple[Any, dict[str, Any]]:
    import torch

    from lorarack.adapters.training.encode import Encoded
    from lorarack.adapters.training.loss import Collator, completion_loss

    rows = [Encoded((5, 6, 7), (8, 9)), Encoded((5,), (10, 11, 12, 13))]
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
        loss, _ = completion_loss(model, Collator(0)([row.features() for row in rows]))
    model.zero_grad()
    loss.backward()
    return loss.detach(), {name: found.grad.clone() for name, found in model.named_parameters() if found.requires_grad}


@pytest.mark.parametrize(("dtype", "within"), [("float32", 1e-5), ("bfloat16", 0.15)])
@pytest.mark.parametrize("settings", [{}, {"use_rslora": True}, {"rank_pattern": {"q_proj": 2}}])
def test_loss_and_gradients_are_pefts(adapted: Any, dtype: str, within: float, settings: dict[str, Any]) -> None:
    """In bfloat16 within twice of what PEFT's own gradients are away from those in float32."""
    import torch

    from lorarack.adapters.training.lora_linear import fuse_lora

    model = adapted(dtype, **settings)
    before, wanted = _losses(model, dtype)
    fuse_lora(model)
    assert _fused(model)
    after, found = _losses(model, dtype)
    torch.testing.assert_close(after, before, rtol=1e-2 if dtype == "bfloat16" else 1e-5, atol=0)
    assert found.keys() == wanted.keys()
    for name, gradient in found.items():
        assert gradient.dtype == torch.float32
        assert torch.linalg.norm(gradient - wanted[name]) <= within * torch.linalg.norm(wanted[name]), name


def test_gradients_are_right_in_double_precision() -> None:
    """Against finite differences, with and without a bias."""
    import torch

    torch.manual_seed(0)
    x, a, b = (torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in ((2, 3, 5), (2, 5), (4, 2)))
    weight, bias = torch.randn(4, 5, dtype=torch.float64), torch.randn(4, dtype=torch.float64)
    for given in (None, bias):
        applied = partial(_applied, weight, given)
        assert torch.autograd.gradcheck(applied, (x, a, b))


def _applied(weight: Any, bias: Any, x: Any, a: Any, b: Any) -> Any:
    from lorarack.adapters.training.lora_linear import lora_linear

    return lora_linear(x, weight, bias, a, b, 1.5)


def test_what_is_not_plain_stays_pefts(adapted: Any) -> None:
    """Dropout between input and A; an adapter that is switched off; a base in another type than what is computed in."""
    import torch

    from lorarack.adapters.training.lora_linear import fuse_lora

    model = adapted("float32", lora_dropout=0.5)
    fuse_lora(model)
    assert not _fused(model)
    ids = torch.tensor([[5, 6, 7, 8]])
    for dtype in ("float32", "bfloat16"):
        model = adapted(dtype).eval()
        with torch.no_grad():
            wanted = model(ids).logits
            with model.disable_adapter():
                bare = model(ids).logits
            fuse_lora(model)
            torch.testing.assert_close(model(ids).logits, wanted)
            with model.disable_adapter():
                torch.testing.assert_close(model(ids).logits, bare)
        assert not torch.equal(wanted, bare)


def test_it_goes_with_the_adapter(adapted: Any) -> None:
    """A base that its adapter is taken off computes as it did."""
    import torch

    from lorarack.adapters.training.lora_linear import fuse_lora

    ids = torch.tensor([[5, 6, 7, 8]])
    model = adapted("float32").eval()
    with model.disable_adapter():
        wanted = model(ids).logits
    fuse_lora(model)
    torch.testing.assert_close(model.unload()(ids).logits, wanted)
