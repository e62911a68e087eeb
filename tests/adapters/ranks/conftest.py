"""A registry with a tiny base and adapters on it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.tiny import tiny_adapter, tiny_base

from lorarack.registry import Registry, open_registry


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    """``support@1`` of rank 8 on base ``tiny``, ``support@2`` and ``other@1`` of the same rank, ``small@1`` of rank 4."""
    with open_registry(tmp_path / "home") as opened:
        opened.add_base(str(tiny_base(tmp_path / "tiny-base")), "tiny")
        for name, number, rank in (("support", 1, 8), ("support", 2, 8), ("other", 3, 8), ("small", 4, 4)):
            folder = tiny_adapter(
                tmp_path / f"in{number}", rank, seed=number, targets=["q_proj", "v_proj", "down_proj"]
            )
            opened.publish(folder, name, base="tiny")
        yield opened


def deltas(registry: Registry, reference: str, folder: Path) -> dict[str, Any]:
    """What PEFT itself adds to each weight of the base with this version."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    registry.fetch(reference, folder)
    model = AutoModelForCausalLM.from_pretrained(registry.base("tiny").source)
    adapted = PeftModel.from_pretrained(model, folder)
    return {
        name: module.get_delta_weight("default").detach().double()
        for name, module in adapted.named_modules()
        if hasattr(module, "get_delta_weight")
    }
