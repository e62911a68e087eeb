"""What the system tests share beside the session's server and adapters: more adapters, and what PEFT says of all of them."""

import warnings
from pathlib import Path
from typing import Any

import pytest
from tests.system.session_server import BASE as BASE

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
def everyone(small_base: Path, adapters: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The session's adapters and two more, on the head and on the embedding."""
    from tests.system.reference import make_adapter

    place = tmp_path_factory.mktemp("heads")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", TIED)
        head = make_adapter(small_base, place / "head", 4, 7, 0.05, target_modules=["q_proj", "lm_head"])
        tokens = make_adapter(small_base, place / "tokens", 8, 8, 0.05, target_modules=["v_proj", "embed_tokens"])
    return {**adapters, "head@1": head, "tokens@1": tokens}


@pytest.fixture(scope="session")
def reference(small_base: Path, everyone: dict[str, Path]) -> Any:
    from tests.system.reference import Reference

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", TIED)
        return Reference(small_base, everyone)


@pytest.fixture(scope="session")
def prompts(reference: Any) -> list[list[int]]:
    return [reference.tokenizer(text)["input_ids"] for text in TEXTS]
