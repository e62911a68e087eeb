"""What PEFT and transformers give in the same place: ``generate`` with ``adapter_names``, all rows in one batch.

A process of its own: ``python -m benchmarks.cpu_lora.peft_side BASE PROMPT OUTPUT ROUNDS ADAPTER...`` prints tokens a second.
"""

import statistics
import sys
import time

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM


def main() -> None:
    """Print the median over the rounds."""
    base, prompt, output, rounds, *folders = sys.argv[1:]
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
    adapted = PeftModel.from_pretrained(model, folders[0], adapter_name="a0")
    for number, folder in enumerate(folders[1:], 1):
        adapted.load_adapter(folder, adapter_name=f"a{number}")
    adapted.eval()
    names = [f"a{number}" for number in range(len(folders))]
    source = torch.Generator().manual_seed(0)
    taken = []
    for _ in range(int(rounds)):
        tokens = torch.randint(1000, 40000, (len(names), int(prompt)), generator=source)
        begin = time.perf_counter()
        with torch.inference_mode():
            made = adapted.generate(
                input_ids=tokens, attention_mask=torch.ones_like(tokens), adapter_names=names, do_sample=False,
                min_new_tokens=int(output), max_new_tokens=int(output), pad_token_id=0,
            )  # fmt: skip
        assert made.shape[1] == int(prompt) + int(output)
        taken.append(len(names) * int(output) / (time.perf_counter() - begin))
    print(statistics.median(taken))


if __name__ == "__main__":
    main()
