"""Whether a base's files still are what they were when it was added; and bases that lorarack 0.1.0 added, which saw a sample of
their weights only, read again when a model like them comes in.
"""

from collections.abc import Callable
from pathlib import Path

from lorarack.registry.base_model.content import Progress
from lorarack.registry.base_model.difference import difference
from lorarack.registry.base_model.files import FolderFiles
from lorarack.registry.base_model.fingerprint import Look, Reading, complete, look_at_base
from lorarack.registry.disk import disk_errors
from lorarack.registry.errors import Conflict, LorarackError, NotFound
from lorarack.registry.hub.base_files import files_at
from lorarack.registry.interface import Catalog
from lorarack.registry.values import Base, BaseId, CheckedBase


def check_base(catalog: Catalog, actor: str, base: Base, progress: Progress | None, *, full: bool) -> CheckedBase:
    """See ``Registry.check_base``."""
    folders = [known.value for known in reversed(base.ids) if known.kind == "path"]
    path = next((folder for folder in folders if Path(folder).is_dir()), None)
    if path is None:
        return _on_the_hub(base, folders)
    notes = (
        [f"The folder {folders[0]!r} of base {base.name!r} is gone; it is loaded from {path!r}."]
        if path != folders[0]
        else []
    )
    used = [known for known in base.ids if known.value == path]
    base = base.model_copy(update={"ids": (*(known for known in base.ids if known not in used), *used)})
    files = FolderFiles(Path(path))
    with disk_errors():
        look = look_at_base(files)
        if not base.fingerprints:
            _check_sample(base, look, path)
            if full:
                reading = complete(look, files, progress)
                places = tuple(known for known in base.ids if known.value == path or not Path(known.value).is_dir())
                catalog.renew_base(actor, base.name, reading, places)
                base = base.model_copy(
                    update={
                        "fingerprint": reading.fingerprint,
                        "fingerprints": tuple(dict.fromkeys((reading.fingerprint, reading.by_files))),
                        "config": reading.config,
                        "template": reading.template,
                        "modules": reading.modules,
                        "parameters": reading.parameters,
                    }
                )
        elif full or not _looks_like(look, base):
            reading = complete(look, files, progress)
            if not {reading.fingerprint, reading.by_files}.intersection(base.fingerprints):
                raise _changed(base, look, path)
    if base.fingerprints and look.template != base.template:
        notes.append(f"The chat template in {path!r} has changed since base {base.name!r} was added.")
    return CheckedBase(base=base, source=path, revision=None, notes=tuple(notes))


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
                f"The own files of base {base.name!r} cannot be reached; it is assumed to be the model in {place.value!r}, "
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


def _on_the_hub(base: Base, folders: list[str]) -> CheckedBase:
    hub = base.hub_id
    if hub is None:
        where = (
            f"The folder of base {base.name!r}, {folders[0]!r}, is gone"
            if folders
            else f"No folder holds base {base.name!r} any more"
        )
        raise NotFound(
            f"{where}; bring it back or tell where it is now with 'lorarack base add FOLDER --name {base.name}'.",
            code="base_gone",
        )
    notes = (f"The folder {folders[0]!r} of base {base.name!r} is gone; it is loaded from the Hub.",) if folders else ()
    base = base.model_copy(update={"ids": (hub,)})
    return CheckedBase(base=base, source=hub.value, revision=hub.revision, notes=notes)


def _looks_like(look: Look, base: Base) -> bool:
    return (look.sampled, look.config, look.vocabulary) == (base.sampled, base.config, base.vocabulary)


def _check_sample(base: Base, look: Look, path: str) -> None:
    """All that can be held against what 0.1.0 wrote down."""
    if look.sampled != base.sampled:
        raise _changed(base, look, path)


def _changed(base: Base, look: Look, path: str) -> Conflict:
    return Conflict(
        f"The files in {path!r} are no longer base {base.name!r}: {difference(base, look)}; put its files back, "
        f"or add what is there now under a name of its own with 'lorarack base add {path} --name NEW'.",
        code="base_changed",
    )
