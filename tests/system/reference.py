"""What is right: PEFT in float32, one adapter at a time, one prompt at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

# The server that is compared runs on the same cores: two threads that wait for each other at every operation would take
# minutes on a machine that is busy with anything else.
torch.set_num_threads(1)

LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@dataclass(frozen=True)
class Truth:
    """What a model says of some tokens: the log probability of each but the first, and after each the likeliest next one."""

    logprobs: tuple[float, ...]
    likeliest: tuple[int, ...]


@cache
def _base(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def make_adapter(base: Path, folder: Path, rank: int, seed: int, strength: float, **config: Any) -> Path:
    """An adapter of PEFT's own making, random and strong enough that nobody takes its answers for the base's."""
    torch.manual_seed(seed)
    settings = {"r": rank, "lora_alpha": 2 * rank, "target_modules": LINEAR, "task_type": "CAUSAL_LM", **config}
    adapted = get_peft_model(_base(base), LoraConfig(**settings))
    with torch.no_grad():
        for name, weights in adapted.named_parameters():
            if "lora_B" in name or "lora_embedding_A" in name:  # the one of the pair that PEFT begins with zeros
                weights.normal_(0, strength)
    adapted.save_pretrained(folder, save_embedding_layers=False)  # an adapted one would bring the base's weights along
    adapted.unload()  # the base is as it was
    return folder


class Reference:
    """The base and any number of adapters over it, by the names under which a server has them."""

    def __init__(self, base: Path, folders: Mapping[str, Path]) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(base)
        model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        first, *others = folders.items()
        self._model = PeftModel.from_pretrained(model, first[1], adapter_name=_plain(first[0]))
        for name, folder in others:
            self._model.load_adapter(folder, adapter_name=_plain(name))
        self._model.eval()
        self._known: dict[tuple[str | None, tuple[int, ...]], Truth] = {}

    def truth(self, name: str | None, tokens: Sequence[int]) -> Truth:
        """What adapter ``name`` (None: the bare base) says of ``tokens``."""
        key = (name, tuple(tokens))
        if key not in self._known:
            if name is None:
                with self._model.disable_adapter():
                    self._known[key] = self._compute(tokens)
            else:
                self._model.set_adapter(_plain(name))
                self._known[key] = self._compute(tokens)
        return self._known[key]

    @torch.no_grad()
    def _compute(self, tokens: Sequence[int]) -> Truth:
        logits = self._model(torch.tensor([list(tokens)])).logits[0]
        table = torch.log_softmax(logits.double(), dim=-1)
        logprobs = tuple(table[place, token].item() for place, token in enumerate(tokens[1:]))
        return Truth(logprobs, tuple(logits.argmax(dim=-1).tolist()))


def _plain(name: str) -> str:
    """PEFT makes attribute names of these: no dots, no signs."""
    return "".join(letter if letter.isalnum() else "_" for letter in name)
