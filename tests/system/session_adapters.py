"""Adapters of several ranks and kinds that PEFT made, once a session, and what PEFT says with each of them."""

import warnings
from pathlib import Path
from typing import Any

import pytest

#: PEFT warns of merging adapters on tied layers; nothing is merged here.
TIED = "Model has `tie_word_embeddings"
TEXTS = (
    "The capital of France is Paris, and the capital of Italy is",
    "One two three four five six",
    "def fibonacci(n):\n    if n < 2:\n        return",
    "Water boils at a temperature of one hundred degrees",
    "Dear customer, thank you for your order of",
)


@pytest.fixture(scope="session")
def adapters(small_base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Six adapters by the reference under which the session's server has them."""
    return six_adapters(small_base, tmp_path_factory.mktemp("adapters"))


def six_adapters(base: Path, place: Path) -> dict[str, Path]:
    """Of several ranks, scales and targets, by reference; their folders are in ``place``."""
    from tests.system.reference import make_adapter

    attention = ["q_proj", "k_proj", "v_proj", "o_proj"]
    return {
        "plain@1": make_adapter(base, place / "r4", 4, 1, 0.05),
        "plain@2": make_adapter(base, place / "r16", 16, 2, 0.03),
        "strong@1": make_adapter(base, place / "strong", 8, 3, 0.3),
        "rslora@1": make_adapter(base, place / "rslora", 16, 4, 0.02, use_rslora=True),
        "pattern@1": make_adapter(
            base, place / "pattern", 4, 5, 0.05,
            rank_pattern={"down_proj": 12}, alpha_pattern={"down_proj": 6},
        ),
        "partial@1": make_adapter(base, place / "partial", 2, 6, 0.1, target_modules=attention),
    }  # fmt: skip


def eight_adapters(base: Path, place: Path) -> dict[str, Path]:
    """The six and two more, on the head and on the embedding."""
    from tests.system.reference import make_adapter

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", TIED)
        head = make_adapter(base, place / "head", 4, 7, 0.05, target_modules=["q_proj", "lm_head"])
        tokens = make_adapter(base, place / "tokens", 8, 8, 0.05, target_modules=["v_proj", "embed_tokens"])
    return {**six_adapters(base, place), "head@1": head, "tokens@1": tokens}


@pytest.fixture(scope="session")
def reference(small_base: Path, adapters: dict[str, Path]) -> Any:
    """What PEFT says, in float32."""
    from tests.system.reference import Reference

    return Reference(small_base, adapters)


@pytest.fixture(scope="session")
def prompts(reference: Any) -> list[list[int]]:
    return tokens_of(reference)


def tokens_of(reference: Any) -> list[list[int]]:
    """``TEXTS`` as tokens."""
    return [reference.tokenizer(text)["input_ids"] for text in TEXTS]
