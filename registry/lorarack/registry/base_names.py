"""What a base model may be called. A name means one thing, independent of what is in the working directory."""

import os
from collections.abc import Iterable

from lorarack.registry.values import Base


def find_base(bases: Iterable[Base], ident: str, *, folders: bool = True) -> Base | None:
    """The base called ``ident``: by its name, else a fingerprint or Hub id, else the folder that ``ident`` is, if ``folders``.

    A text that is plainly a path (``./x``, ``../x``, ``/x``, ``~/x``) names a folder only.
    """
    known = tuple(bases)
    if not is_path(ident):
        by_name = next((base for base in known if base.name == ident), None)
        if by_name is not None:
            return by_name
        by_id = [base for base in known if ident in _ids(base)] or [base for base in known if ident == base.sampled]
        if len(by_id) == 1 or (by_id and not ident.startswith("sha256:")):
            return by_id[0]
    return next((base for base in known if _is_there(base, ident)), None) if folders else None


def is_called(base: Base, ident: str) -> bool:
    """Whether ``ident`` is the base's name, fingerprint, Hub id (at a revision) or folder."""
    return (not is_path(ident) and ident in {base.name, base.sampled, *_ids(base)}) or _is_there(base, ident)


def is_path(ident: str) -> bool:
    """Whether ``ident`` can be nothing but a path."""
    return ident.startswith(("/", "./", "../", "~", ".\\", "..\\")) or ident in (".", "..")


def _ids(base: Base) -> set[str]:
    hub = [known for known in base.ids if known.kind == "hub"]
    at_revisions = {f"{known.value}@{known.revision}" for known in hub if known.revision}
    return {base.fingerprint, *base.fingerprints, *(known.value for known in hub), *at_revisions}


def _is_there(base: Base, ident: str) -> bool:
    place = _real_path(ident)
    return place is not None and any(known.kind == "path" and known.value == place for known in base.ids)


def _real_path(ident: str) -> str | None:
    try:
        return os.path.realpath(os.path.expanduser(ident))
    except ValueError:  # a NUL
        return None
