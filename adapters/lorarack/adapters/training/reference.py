"""Reference log probabilities of fixed texts by a freshly trained version, to check a server against later."""

from typing import Any

import torch

from lorarack.registry.reference_logprobs import ReferenceLogprobs, ReferencePrompt

#: Prose, a question with its answer, code, numbers: the same for every version, taken from no data set. Format 1.
TEXTS = (
    "The ferry leaves the harbour at dawn, and by noon the islands are in sight.",
    "Question: which planet is closest to the sun? Answer: Mercury.",
    "def add(a, b):\n    return a + b\n",
    '{"order": 17, "items": ["tea", "bread"], "total": 4.5}',
)
#: Tokens of each text that are looked at.
LONGEST = 48


def reference_logprobs(model: Any, tokenizer: Any, dtype: str) -> ReferenceLogprobs:
    """The log probability of each token of the fixed texts given those before it, in evaluation mode.

    Args:
        model: with its adapter.
        tokenizer: of the base.
        dtype: in which the products are computed, as while training.
    """
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    prompts = []
    try:
        with torch.no_grad(), torch.autocast(device.type, getattr(torch, dtype), enabled=dtype != "float32"):
            for text in TEXTS:
                ids = tokenizer(text, add_special_tokens=True)["input_ids"][:LONGEST]
                if len(ids) < 2:
                    continue
                logits = model(input_ids=torch.tensor([ids], device=device), use_cache=False).logits[0, :-1]
                found = logits.float().log_softmax(-1)[range(len(ids) - 1), ids[1:]].tolist()
                prompts.append(
                    ReferencePrompt(token_ids=tuple(ids), logprobs=tuple(round(value, 5) for value in found))
                )
    finally:
        model.train(was_training)
    return ReferenceLogprobs(dtype=dtype, prompts=tuple(prompts))
