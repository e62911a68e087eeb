"""The demo's task: a spoken café order becomes a JSON call.

The rows are made by ``python -m lorarack.demo.orders.generate`` and shipped; no two splits share a sentence or an
order.
"""

from pathlib import Path

from lorarack.demo.orders.facts import TASK, TaskFacts

_FOLDER = Path(__file__).parent


def train_path() -> Path:
    """The rows to train on."""
    return _FOLDER / "train.jsonl"


def validation_path() -> Path:
    """The rows that choose the best checkpoint."""
    return _FOLDER / "validation.jsonl"


def heldout_path() -> Path:
    """The rows that nothing but the comparison sees."""
    return _FOLDER / "heldout.jsonl"


def recipe_path() -> Path:
    """The recipe by which the demo trains."""
    return _FOLDER / "recipe.yaml"


__all__ = ["TASK", "TaskFacts", "heldout_path", "recipe_path", "train_path", "validation_path"]
