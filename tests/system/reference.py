"""What is right: PEFT in float32, one adapter at a time, one prompt at a time."""

import json
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import safe_open
from safetensors.torch import save_file
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModelForCausalLM, AutoTokenizer

# The server that is compared runs on the same cores: two threads that wait for each other at every operation would take
# minutes on a machine that is busy with anything else.
torch.set_num_threads(1)

#: Sequences at a time.
BATCH = 8
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@dataclass(frozen=True)
class Truth:
    """What a model says of some tokens: the log probability of each but the first, and after each the likeliest next one."""

    logprobs: tuple[float, ...]
    likeliest: tuple[int, ...]


@cache
def _base(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def cut_base(base: Path, folder: Path, layers: int) -> Path:
    """The first ``layers`` layers of a base, with its embedding, head and tokenizer."""
    shutil.copytree(base, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    config = json.loads((base / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": layers}))
    kept = {f"model.layers.{number}." for number in range(layers)}
    with safe_open(base / "model.safetensors", "pt") as weights:
        names = [name for name in weights.keys() if ".layers." not in name or name.startswith(tuple(kept))]  # noqa: SIM118
        save_file({name: weights.get_tensor(name) for name in names}, folder / "model.safetensors", {"format": "pt"})
    return folder


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
        self.add(dict(others))
        self._known: dict[tuple[str | None, tuple[int, ...]], Truth] = {}

    def add(self, folders: Mapping[str, Path]) -> None:
        """More adapters over the same base."""
        for name, folder in folders.items():
            self._model.load_adapter(folder, adapter_name=_plain(name))
        self._model.eval()

    def truth(self, name: str | None, tokens: Sequence[int]) -> Truth:
        """What adapter ``name`` (None: the bare base) says of ``tokens``."""
        self.compute([(name, tokens)])
        return self._known[name, tuple(tokens)]

    def compute(self, asked: Iterable[tuple[str | None, Sequence[int]]]) -> None:
        """Compute what `truth` will be asked for, an adapter's sequences in batches: the weights are read once a batch."""
        wanted: dict[str | None, set[tuple[int, ...]]] = defaultdict(set)
        for name, tokens in asked:
            if (name, tuple(tokens)) not in self._known:
                wanted[name].add(tuple(tokens))
        for name, sequences in wanted.items():
            with self._only(name):
                rows = sorted(sequences)
                for start in range(0, len(rows), BATCH):
                    batch = rows[start : start + BATCH]
                    self._known |= {(name, row): truth for row, truth in zip(batch, self._batch(batch), strict=True)}

    @contextmanager
    def _only(self, name: str | None) -> Iterator[None]:
        if name is None:
            with self._model.disable_adapter():
                yield
        else:
            self._model.set_adapter(_plain(name))
            yield

    @torch.no_grad()
    def _batch(self, rows: Sequence[tuple[int, ...]]) -> list[Truth]:
        """Padded on the right, where no token looks."""
        padded = pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
        return [_truth(row, logits[: len(row)]) for row, logits in zip(rows, self._model(padded).logits, strict=True)]


def _truth(tokens: Sequence[int], logits: torch.Tensor) -> Truth:
    table = torch.log_softmax(logits, dim=-1)
    logprobs = tuple(table[place, token].item() for place, token in enumerate(tokens[1:]))
    return Truth(logprobs, tuple(logits.argmax(dim=-1).tolist()))


def _plain(name: str) -> str:
    """PEFT makes attribute names of these: no dots, no signs."""
    return "".join(letter if letter.isalnum() else "_" for letter in name)
