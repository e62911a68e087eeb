"""Rows that are longer than the base's context: a server takes no such request, whatever was trained."""

from typing import Any

from transformers import AutoConfig

from lorarack.adapters.training.model import revision_of
from lorarack.adapters.training.tokens import Tokens
from lorarack.registry.values import Base

#: Kinds of rotary scaling whose ``max_position_embeddings`` is the longer context already.
_SCALED_ALREADY = ("default", "llama3", "longrope", "su")


def say_about_context(base: Base, tokens: Tokens) -> str | None:
    """A sentence where rows are longer than the base's context; None where all fit, or where the base does not say."""
    limit = _context(base)
    if limit is None:
        return None
    splits = {"train": tokens.train, "validation": tokens.validation}
    counts = {split: sum(len(row) > limit for row in rows) for split, rows in splits.items()}
    if not any(counts.values()):
        return None
    longest = max(len(row) for rows in splits.values() for row in rows)
    counted = " and ".join(f"{count} {split} rows" for split, count in counts.items() if count)
    return (
        f"Longer than the {limit} tokens of the base's context: {counted} (the longest has {longest}), which no server takes "
        f"in one request; set max_length to {limit} to have such rows refused, or left out with 'too_long: drop'."
    )


def _context(base: Base) -> int | None:
    """The most tokens that the base's configuration allows for."""
    try:
        config: Any = AutoConfig.from_pretrained(base.source, **revision_of(base)).get_text_config()
    except (OSError, ValueError, KeyError):  # said when the base is loaded
        return None
    limit = getattr(config, "max_position_embeddings", None)
    if not isinstance(limit, int) or limit < 1:
        return None
    rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    factor = rope.get("factor") if rope.get("rope_type", rope.get("type")) not in _SCALED_ALREADY else None
    return int(limit * max(1.0, factor)) if isinstance(factor, int | float) else limit
