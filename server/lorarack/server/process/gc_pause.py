"""Importing vLLM makes millions of permanent objects; collecting garbage among them is a fifth of the import's time."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def gc_paused() -> Iterator[None]:
    """Garbage collection is off inside the block. The server switches it nowhere else."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
