"""Reference log probabilities: kept with a trained version, right, and no part of its digest."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from lorarack.adapters.recipe import Recipe
from lorarack.adapters.training.run import train
from lorarack.registry import Registry
from lorarack.registry.reference_logprobs import ReferencePrompt


def test_there_is_one_log_probability_for_each_token_after_the_first() -> None:
    with pytest.raises(ValidationError, match="one log probability"):
        ReferencePrompt(token_ids=(1, 2, 3), logprobs=(-1.0,))


@pytest.mark.torch
def test_they_are_those_of_the_published_weights(
    tmp_path: Path, registry: Registry, recipe: Callable[..., Recipe]
) -> None:
    """PEFT with the published folder gives the same numbers, and the base alone gives others."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    (done,) = train(recipe(learning_rate=0.05), registry)
    version = registry.resolve(done.version.reference)
    assert version.provenance is not None
    reference = version.provenance.reference
    assert reference is not None
    assert reference.dtype == "float32"
    assert len(reference.prompts) == 4
    source = registry.base("tiny").source
    bare = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    alone = [_logprobs(bare, prompt) for prompt in reference.prompts]
    model = PeftModel.from_pretrained(bare, registry.fetch(version, tmp_path / "fetched"))
    for prompt, base in zip(reference.prompts, alone, strict=True):
        assert list(prompt.logprobs) == pytest.approx(_logprobs(model, prompt), abs=2e-5)
        assert list(prompt.logprobs) != pytest.approx(base, abs=1e-3)


def _logprobs(model: object, prompt: ReferencePrompt) -> list[float]:
    """By hand, token by token."""
    import torch

    found = []
    for place in range(1, len(prompt.token_ids)):
        ids = torch.tensor([prompt.token_ids[:place]])
        with torch.no_grad():
            logits = model(input_ids=ids).logits[0, -1]  # type: ignore[operator]
        found.append(float(logits.log_softmax(-1)[prompt.token_ids[place]]))
    return found
