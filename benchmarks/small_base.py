"""A base of a million parameters that knows the words of some texts but no task: studies over it take seconds.

Pre-trained here, on one core in about a minute, with no download. What holds on it need not hold on a large base.
"""

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

VOCABULARY, WIDTH, LAYERS = 1024, 128, 4
STEPS, BATCH, LENGTH, RATE = 300, 16, 64, 3e-3
_SPECIAL = ("<s>", "</s>", "<unk>")


def make_base(folder: Path, texts: Sequence[str], steps: int = STEPS) -> Path:
    """Train a tokenizer and a Llama on ``texts``, and save both in ``folder``."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    if (folder / "config.json").exists():
        return folder
    torch.manual_seed(0)
    tokenizer = _tokenizer(texts)
    stream = torch.tensor([token for text in texts for token in (*tokenizer(text)["input_ids"], 1)])
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=WIDTH, intermediate_size=3 * WIDTH, num_hidden_layers=LAYERS,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512, tie_word_embeddings=True,
        bos_token_id=0, eos_token_id=1, pad_token_id=1,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    draw = Random(0)
    for _ in range(steps):
        starts = [draw.randrange(len(stream) - LENGTH) for _ in range(BATCH)]
        rows = torch.stack([stream[start : start + LENGTH] for start in starts])
        model(input_ids=rows, labels=rows).loss.backward()
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _tokenizer(texts: Sequence[str]) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    found = Tokenizer(models.BPE(unk_token="<unk>"))
    found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    found.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=list(_SPECIAL), initial_alphabet=alphabet, show_progress=False
    )
    found.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=found, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="</s>"
    )
