"""Who sends a request."""

from dataclasses import dataclass

#: What a caller needs to have a model answer.
INFERENCE = "inference"


@dataclass(frozen=True, slots=True)
class Caller:
    """The owner of a key.

    Attributes:
        name: the key's name, never the key.
        scopes: what the key allows.
    """

    name: str
    scopes: frozenset[str] = frozenset({INFERENCE})


#: Everybody, on a server without keys.
ANONYMOUS = Caller("anonymous")
