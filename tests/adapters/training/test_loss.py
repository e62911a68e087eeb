"""The loss is the plain one, whatever the batch and the padding."""

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.torch


@pytest.fixture
def model(tiny_folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(tiny_folder)


def _rows() -> Any:
    from lorarack.adapters.training.encode import Encoded

    return [Encoded((5, 6, 7), (8, 9)), Encoded((5,), (10, 11, 12, 13)), Encoded((9, 9, 9, 9, 9, 9), (4,))]


def test_it_equals_transformers_own_loss(model: Any) -> None:
    """Per row, without padding, transformers' own mean over the labels times their number is the same sum."""
    import torch

    from lorarack.adapters.training.loss import Collator, completion_loss

    for row in _rows():
        features = row.features()
        batch = {key: torch.tensor([value]) for key, value in features.items()}
        total, count = completion_loss(model, Collator(0)([features]))
        assert count == len(row.completion)
        torch.testing.assert_close(total, model(**batch).loss * count)


def test_padding_and_batches_do_not_change_it(model: Any) -> None:
    """Rows of all lengths in one batch give the sum of the rows alone; so does the mean for any batch size."""
    import torch

    from lorarack.adapters.training.loss import Collator, completion_loss, mean_loss

    features = [row.features() for row in _rows()]
    together, count = completion_loss(model, Collator(3)(features))
    alone = [completion_loss(model, Collator(3)([row]))[0] for row in features]
    torch.testing.assert_close(together, torch.stack(alone).sum())
    assert count == 7
    means = [mean_loss(model, _rows(), pad=0, batch_size=size) for size in (1, 2, 3)]
    assert means == pytest.approx([together.item() / count] * 3, rel=1e-5)


def test_logits_are_made_of_completion_tokens_alone(model: Any) -> None:
    """The head sees the tokens that have loss and no other; it is what it was afterwards."""
    from lorarack.adapters.training.loss import Collator, completion_loss

    seen: list[tuple[int, ...]] = []
    model.lm_head.register_forward_hook(lambda _, __, found: seen.append(tuple(found.shape[:2])))
    _, count = completion_loss(model, Collator(0)([row.features() for row in _rows()]))
    assert seen == [(1, count)]
    assert not model.lm_head._forward_pre_hooks


def test_a_head_that_cannot_be_asked_gives_the_same(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from lorarack.adapters.training.loss import Collator, completion_loss

    batch = Collator(0)([row.features() for row in _rows()])
    wanted, _ = completion_loss(model, batch)
    monkeypatch.setattr(model, "get_output_embeddings", lambda: None)
    torch.testing.assert_close(completion_loss(model, batch)[0], wanted)
