"""Bases that lorarack 0.1.0 added, which saw a sample of their weights only, read again when a model like them comes in."""

from collections.abc import Callable
from pathlib import Path

from lorarack.registry.base_model.files import FolderFiles
from lorarack.registry.base_model.fingerprint import Look, Reading, complete, look_at_base
from lorarack.registry.errors import LorarackError
from lorarack.registry.hub.base_files import files_at
from lorarack.registry.interface import Catalog
from lorarack.registry.values import Base, BaseId


def renew_like(catalog: Catalog, actor: str, reading: Reading, place: BaseId, say: Callable[[str], None]) -> None:
    """Give the base of 0.1.0 that ``reading`` may be its present fingerprints, from its own files.

    0.1.0 took copies with another configuration for the same base. What it was first added from is the base; other folders
    that differ from it are no longer places of the base. Where none of its files can be reached, ``reading`` (of ``place``)
    stands for it: its sample is the same.
    """
    for base in catalog.bases():
        if base.fingerprints or base.sampled != reading.sampled:
            continue
        found = _first(base, reading, place)
        if found is None:
            say(
                f"The own files of base {base.name!r} cannot be reached; it is taken for the model in {place.value!r}, "
                "which has the same sample of weights."
            )
        own = found or reading
        kept = tuple(known for known in base.ids if not _differs(known, own))
        for known in base.ids:
            if known not in kept:
                say(
                    f"{known.value!r} holds another model than base {base.name!r}; "
                    f"add it under a name of its own with 'lorarack base add {known.value} --name NEW'."
                )
        catalog.renew_base(actor, base.name, own, kept)
        return


def _first(base: Base, reading: Reading, place: BaseId) -> Reading | None:
    for known in base.ids:
        if (known.kind, known.value, known.revision) == (place.kind, place.value, place.revision):
            return reading
        try:
            files = files_at(known)
            look = look_at_base(files)
            if look.sampled == base.sampled:
                return complete(look, files)
        except (LorarackError, OSError):
            continue
    return None


def _differs(known: BaseId, own: Look) -> bool:
    if known.kind != "path" or not Path(known.value).is_dir():
        return False
    try:
        look = look_at_base(FolderFiles(Path(known.value)))
    except (LorarackError, OSError):
        return False
    return (look.sampled, look.config) != (own.sampled, own.config)
