"""Where the time of a training step goes: ``python -m benchmarks.training_profile BASE ROWS.jsonl [--peft]``.

One step of eight rows of prompt and completion at rank 16, one thread, by torch's profiler: forward, backward and optimizer. The
floor is the matrix products: what a step would take if nothing else did. ``--peft`` leaves LoRA and attention as PEFT and torch
have them.
"""

import argparse
import json
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from lorarack.adapters.data import Row, Rows
from lorarack.adapters.recipe import Recipe, make_recipe
from lorarack.adapters.silence_libraries import silence_libraries
from lorarack.adapters.training import loss, model
from lorarack.adapters.training.encode import encode_rows

_FLASH = "aten::_scaled_dot_product_flash_attention_for_cpu"
_KINDS = {
    "matrix products": ("aten::mm", "aten::addmm", "aten::addmm_", "aten::bmm", "aten::baddbmm"),
    "flash attention": (_FLASH, f"{_FLASH}_backward"),
    "copies and casts": ("aten::copy_", "aten::_to_copy", "aten::clone", "aten::fill_", "aten::cat"),
    "softmax over the vocabulary": ("aten::_log_softmax", "aten::_log_softmax_backward_data"),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base")
    parser.add_argument("data", type=Path)
    parser.add_argument("--peft", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.peft:
        setattr(model, "fuse_lora", lambda adapted: None)  # noqa: B010  (the name as the module uses it)
        setattr(loss, "_attention", lambda *_: nullcontext())  # noqa: B010
    recipe = make_recipe({"name": "profile", "base": "base", "data": "rows", "ranks": [16]})
    with silence_libraries():
        taken = _step(asked.base, asked.data, recipe)
    whole = sum(taken.values())
    for kind, seconds in taken.most_common():
        print(f"{kind:30} {seconds:6.2f} s  {seconds / whole:5.0%}")
    print(f"{'whole step':30} {whole:6.2f} s, {whole / taken['matrix products']:.2f} times the floor")


def _step(base: str, data: Path, recipe: Recipe) -> Counter[str]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    adapted = model.add_adapter(AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16), recipe, 16, "base")
    lines = [json.loads(line) for line in data.read_text(encoding="utf-8").splitlines()[:8]]
    rows = encode_rows(
        Rows("rows", tuple(Row(line["completion"], prompt=line["prompt"]) for line in lines)), tokenizer, 1024
    )
    batch = loss.Collator(0)([row.features() for row in rows])
    weights = [weight for weight in adapted.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            total, count = loss.completion_loss(adapted, batch)
        (total / count).backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()

    step()
    with profile(activities=[ProfilerActivity.CPU]) as found:
        step()
    taken: Counter[str] = Counter()
    for event in found.key_averages():
        taken[_kind(event)] += event.self_cpu_time_total / 1e6
    return taken


def _kind(event: Any) -> str:
    return next((kind for kind, names in _KINDS.items() if event.key in names), "everything else")


if __name__ == "__main__":
    main()
