"""All that a run consists of between two steps, as safetensors and JSON: nothing is ever unpickled."""

import json
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from transformers import TrainerState

from lorarack.registry.artifact.manifest import CONFIG, WEIGHTS
from lorarack.registry.errors import UsageError

_TENSORS, _VALUES = "training.safetensors", "training.json"
#: The Trainer's own, by the name that it looks for.
_TRAINER = "trainer_state.json"


def save_checkpoint(
    folder: Path,
    model: Any,
    state: TrainerState,
    optimizer: Any,
    scheduler: Any,
    scaler: Any,
    more: tuple[Mapping[str, Any], Mapping[str, Any]],
) -> None:
    """Write the adapter (a PEFT folder), the optimizer, the schedule, the random numbers, and ``more`` values and tensors."""
    model.save_pretrained(folder, save_embedding_layers=False)
    state.save_to_json(str(folder / _TRAINER))
    moments, groups = _optimizer_parts(optimizer)
    drawn, generators = _generators()
    values, tensors = more
    found = {**_named("optimizer", moments), **_named("random", drawn), **_named("more", tensors)}
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in found.items()}, folder / _TENSORS)
    kept = {
        "optimizer": groups,
        "scheduler": scheduler.state_dict(),
        "scaler": scaler.state_dict() if scaler is not None else None,
        "random": generators,
        "more": dict(values),
    }
    (folder / _VALUES).write_text(json.dumps(kept), encoding="utf-8")


@contextmanager
def readable(folder: Path) -> Iterator[None]:
    """What the files of a checkpoint lack, as a sentence."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        raise UsageError(
            f"The checkpoint {str(folder)!r} is damaged; remove the folder {str(folder.parent)!r} to begin this rank anew.",
            code="bad_run",
        ) from error


class Checkpoint:
    """A checkpoint that is read.

    Raises:
        UsageError: a file of it is missing, cut off or another one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with readable(folder):
            self._values = json.loads((folder / _VALUES).read_text(encoding="utf-8"))
            self._tensors = load_file(folder / _TENSORS)
            #: After how many steps it was written.
            self.step = int(TrainerState.load_from_json(str(folder / _TRAINER)).global_step)
            json.loads((folder / CONFIG).read_bytes())  # this and the weights are read by the Trainer
            with safe_open(folder / WEIGHTS, "pt"):
                pass
            if folder.name != f"step-{self.step}":
                raise ValueError("the Trainer's state is of another step")

    @property
    def more(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The values and tensors that were handed to ``save_checkpoint``."""
        return self._values["more"], self._under("more")

    def load_optimizer(self, optimizer: Any, scheduler: Any, scaler: Any) -> None:
        """Put optimizer and schedule where they were."""
        with readable(self.folder):
            self._load_optimizer(optimizer, scheduler, scaler)

    def _load_optimizer(self, optimizer: Any, scheduler: Any, scaler: Any) -> None:
        moments: dict[int, dict[str, Any]] = {}
        for name, tensor in self._under("optimizer").items():
            number, _, key = name.partition(".")
            moments.setdefault(int(number), {})[key] = tensor
        optimizer.load_state_dict({"state": moments, "param_groups": self._values["optimizer"]})
        scheduler.load_state_dict(self._values["scheduler"])
        if scaler is not None and self._values["scaler"]:
            scaler.load_state_dict(self._values["scaler"])

    def load_random(self) -> None:
        """Go on with the random numbers that come next."""
        with readable(self.folder):
            self._load_random()

    def _load_random(self) -> None:
        drawn, found = self._under("random"), self._values["random"]
        torch.set_rng_state(drawn["torch"])
        if torch.cuda.is_available():
            torch.cuda.set_rng_state_all([drawn[name] for name in sorted(drawn) if name.startswith("cuda")])
        version, internal, gauss = found["python"]
        random.setstate((version, tuple(internal), gauss))
        kind, keys, *rest = found["numpy"]
        np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))

    def _under(self, part: str) -> dict[str, Any]:
        return {
            name.removeprefix(f"{part}/"): tensor
            for name, tensor in self._tensors.items()
            if name.startswith(f"{part}/")
        }


def _named(part: str, tensors: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{part}/{name}": tensor for name, tensor in tensors.items()}


def _optimizer_parts(optimizer: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Its tensors by the number of their parameter, and its settings."""
    found = optimizer.state_dict()
    tensors = {
        f"{number}.{key}": value if torch.is_tensor(value) else torch.tensor(value)
        for number, moments in found["state"].items()
        for key, value in moments.items()
    }
    return tensors, found["param_groups"]


def _generators() -> tuple[dict[str, Any], dict[str, Any]]:
    """The states of all random generators that training draws from."""
    drawn = {"torch": torch.get_rng_state()}
    if torch.cuda.is_available():
        drawn |= {f"cuda{number:02}": state for number, state in enumerate(torch.cuda.get_rng_state_all())}
    kind, keys, *rest = np.random.get_state(legacy=True)
    return drawn, {"python": random.getstate(), "numpy": [kind, np.asarray(keys).tolist(), *rest]}
