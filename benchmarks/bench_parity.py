"""How far rounding moves log probabilities, and how far a wrongly applied adapter: where the tolerances of parity come from.

Adapters of the tests and, with ``--adapter FOLDER``, trained ones; the references' texts; torch on this machine, one thread.

    python -m benchmarks.bench_parity BASE_FOLDER [--adapter FOLDER ...]
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from tests.system.reference import make_adapter
from transformers import AutoModelForCausalLM, AutoTokenizer

from lorarack.adapters.training.reference import reference_logprobs
from lorarack.registry.parity import compare_logprobs


def main() -> None:
    """Print a line for each adapter and number type."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("base", type=Path)
    asked.add_argument("--adapter", type=Path, action="append", default=[])
    given = asked.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(given.base)
    with tempfile.TemporaryDirectory() as place:
        made = [
            make_adapter(given.base, Path(place) / f"rank {rank}, {strength}", rank, rank, strength)
            for rank, strength in ((4, 0.005), (4, 0.05), (16, 0.03), (8, 0.3))
        ]
        for folder in (*made, *given.adapter):
            _measure(given.base, folder, tokenizer)


def _measure(base: Path, folder: Path, tokenizer: Any) -> None:
    def said(dtype: torch.dtype, autocast: str = "float32", scale: float = 1.0, *, bare: bool = False) -> Any:
        model = AutoModelForCausalLM.from_pretrained(base, dtype=dtype)
        adapted = PeftModel.from_pretrained(model, folder).to(dtype)
        for module in adapted.modules():
            if isinstance(getattr(module, "scaling", None), dict):  # of attention it is a number
                module.scaling = {name: 0.0 if bare else value * scale for name, value in module.scaling.items()}
        return reference_logprobs(adapted, tokenizer, autocast)

    exact = said(torch.float32)
    nothing = [prompt.logprobs for prompt in said(torch.float32, bare=True).prompts]
    for name, other in (
        ("autocast to bfloat16, as trained", said(torch.float32, "bfloat16")),
        ("bfloat16 weights", said(torch.bfloat16)),
        ("float16 weights", said(torch.float16)),
        ("half the scale", said(torch.float32, scale=0.5)),
        ("twice the scale", said(torch.float32, scale=2.0)),
    ):
        found = compare_logprobs(exact, [prompt.logprobs for prompt in other.prompts], nothing, "float32")
        assert found is not None
        print(f"{folder.name:14} {name:34} mean {found.mean:.4f} largest {found.largest:.3f} effect {found.effect:.3f}")


if __name__ == "__main__":
    main()
