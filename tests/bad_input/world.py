"""What a user has before giving bad input, and what one case of it is."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tests.tiny import base_tensors, tiny_adapter, tiny_base, write_safetensors

from lorarack.registry import open_registry


@dataclass(frozen=True)
class World:
    """What a user has: a registry with base ``tiny`` and version ``support@1``, and some folders beside it."""

    root: Path

    @property
    def home(self) -> Path:
        """The registry; ``--registry`` need not be given."""
        return self.root / "home"

    @property
    def adapter(self) -> Path:
        """A good adapter for ``tiny`` that is not published yet."""
        return self.root / "adapter"

    @property
    def other_base(self) -> Path:
        """A base of another shape, not in the registry."""
        return self.root / "other-base"

    def publish(self, *more: object) -> list[object]:
        """The command that publishes ``adapter``."""
        return ["publish", self.adapter, "support", "--base", "tiny", *more]


@dataclass(frozen=True)
class Case:
    """One bad input: ``prepare`` may change the world first; ``said`` is a part of the sentence."""

    id: str
    command: Callable[[World], list[object]]
    said: str
    code: int = 1
    prepare: Callable[[World], object] = lambda _: None


def command(*arguments: object) -> Callable[[World], list[object]]:
    """A command that needs nothing of the world."""
    return lambda _: list(arguments)


def make_world(root: Path) -> None:
    """Fill ``root`` as ``World`` says."""
    with open_registry(root / "home") as registry:
        registry.add_base(str(tiny_base(root / "tiny-base")), "tiny")
        registry.publish(tiny_adapter(root / "published", seed=1), "support", base="tiny")
    tiny_adapter(root / "adapter")
    tiny_base(root / "other-base")
    wider = {name: np.repeat(array, 2, axis=-1) for name, array in base_tensors(2).items()}
    write_safetensors(root / "other-base" / "model.safetensors", wider)
