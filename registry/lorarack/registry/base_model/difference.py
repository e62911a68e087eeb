"""What tells two base models apart, in words."""

from collections.abc import Mapping, Sequence
from typing import Protocol


class Model(Protocol):
    """What a fingerprint is made of, as far as it can be compared."""

    @property
    def architecture(self) -> str:
        """The model class."""

    @property
    def vocabulary(self) -> str | None:
        """Digest of the token table."""

    @property
    def vocab_size(self) -> int:
        """Number of tokens."""

    @property
    def modules(self) -> Mapping[str, Sequence[int]]:
        """Shape by module."""


def difference(one: Model, other: Model) -> str:
    """How ``other`` differs from ``one``, as the end of a sentence: "the second has …"."""
    found = []
    if one.architecture != other.architecture:
        found.append(f"architecture {other.architecture} in place of {one.architecture}")
    common = [name for name in one.modules if name in other.modules]
    reshaped = [name for name in common if tuple(one.modules[name]) != tuple(other.modules[name])]
    if reshaped:
        name = reshaped[0]
        shapes = " in place of ".join("×".join(map(str, model.modules[name])) for model in (other, one))
        found.append(f"other shapes in {len(reshaped)} of {len(common)} modules ({name}: {shapes})")
    if len(common) < max(len(one.modules), len(other.modules)):
        found.append(f"{len(other.modules)} modules in place of {len(one.modules)}")
    if (one.vocabulary, one.vocab_size) != (other.vocabulary, other.vocab_size):
        sizes = f" ({other.vocab_size} in place of {one.vocab_size})" if one.vocab_size != other.vocab_size else ""
        found.append(f"other tokens{sizes}")
    if found:
        return f"the second has {', '.join(found)}"
    return "the second has the same shapes and tokens but other weights, as a fine-tune or a converted copy has"
