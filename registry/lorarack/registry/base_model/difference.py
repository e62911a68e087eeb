"""What tells two base models apart, in words."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

_SHOWN = 4


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
    def config(self) -> Mapping[str, Any] | None:
        """What of ``config.json`` the function depends on; None where it is not known."""

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
    if one.config is not None and other.config is not None and one.architecture == other.architecture:
        found += _settings(one.config, other.config)
    if found:
        return f"the second has {', '.join(found)}"
    return "the second has the same shapes and tokens but other weights, as a fine-tune or a converted copy has"


def _settings(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    flat, second = _flat(one), _flat(other)
    names = [name for name in sorted({*flat, *second}) if flat.get(name) != second.get(name)]
    said = [f"{name} {_shown(second, name)} in place of {_shown(flat, name)}" for name in names[:_SHOWN]]
    return [*said, *([f"{len(names) - _SHOWN} more settings"] if len(names) > _SHOWN else [])]


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in config.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def _shown(config: Mapping[str, Any], name: str) -> str:
    return str(config[name])[:60] if name in config else "the default"
