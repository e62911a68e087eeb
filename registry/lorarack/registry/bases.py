"""Base models: adding them, what a call means by one, and which ones take adapters.

A base's name means one thing, independent of what is in the working directory.
"""

import json
import os
from collections.abc import Callable, Iterable
from functools import cache
from importlib.resources import files as package_files

from lorarack.registry.base_model.content import Progress
from lorarack.registry.errors import Conflict, NotFound, UsageError
from lorarack.registry.interface import Catalog
from lorarack.registry.texts import MAX_NAME, check_adapter_name, check_text
from lorarack.registry.values import Base

#: How one base may come from another; adapters of a base also fit its copies.
_COPIES = ("quantized", "converted")
RELATIONS = (*_COPIES, "finetuned")


def add_base(
    catalog: Catalog,
    actor: str,
    source: str,
    name: str | None,
    progress: Progress | None,
    say: Callable[[str], None],
    *,
    use: bool,
) -> Base:
    """See ``Registry.add_base``."""
    from lorarack.registry.base_check import renew_like
    from lorarack.registry.base_model.fingerprint import complete, look_at_base
    from lorarack.registry.hub.base_files import find_files

    before = {base.name: base.source for base in catalog.bases()}
    files = find_files(source)
    if name is not None:
        check_adapter_name(name)
    look = look_at_base(files)
    check_text(look.architecture, "architecture in config.json", MAX_NAME)
    place = files.identity().model_copy(update={"template": look.template})
    reading = complete(look, files, progress)
    renew_like(catalog, actor, reading, place, say)
    default_name = _plain_name(place.value)
    known = {print_ for base in catalog.bases() for print_ in base.fingerprints}
    if name is None and not known.intersection({reading.fingerprint, reading.by_files}):
        check_adapter_name(default_name)
    added = catalog.add_base(actor, reading, name, default_name, place, use=use)
    base = next(base for base in catalog.bases() if base.name == added.name)
    for line in _notes(base, before.get(added.name), added.used, place.value, look.template):
        say(line)
    if added.created and (why := why_no_lora(base.architecture)) is not None:
        say(f"{why}: base {base.name!r} can be served, adapters of it cannot.")
    for other in added.taken_from:
        say(f"{place.value!r} held base {other!r} before; that base is no longer known to be there.")
    return base


def get_base(catalog: Catalog, ident: str) -> Base:
    """See ``Registry.base``."""
    bases = catalog.bases()
    found = find_base(bases, ident)
    if found is None:
        names = ", ".join(repr(base.name) for base in bases) or "none yet"
        raise NotFound(
            f"There is no base model {ident!r} (known: {names}); add one with 'lorarack base add FOLDER-OR-ID'.",
            code="unknown_base",
        )
    return found


def link_base(catalog: Catalog, actor: str, name: str, original: str, relation: str) -> Base:
    """See ``Registry.link_base``."""
    if relation not in RELATIONS:
        raise UsageError(f"{relation!r} is not a relation; use one of {', '.join(RELATIONS)}.", code="bad_relation")
    child = get_base(catalog, name)
    catalog.link_base(actor, child.name, get_base(catalog, original).name, relation)
    return get_base(catalog, child.name)


def originals(base: Base, bases: Iterable[Base]) -> tuple[Base, ...]:
    """See ``Registry.originals``; ``bases`` are all."""
    known = {found.name: found for found in bases}
    chain = [base]
    while chain[-1].original is not None and chain[-1].relation in _COPIES:
        chain.append(known[chain[-1].original])
    return tuple(chain)


def check_adapter(catalog: Catalog, adapter: str, ident: str) -> Base:
    """See ``Registry.check_adapter``."""
    check_adapter_name(adapter)
    base = get_base(catalog, ident)
    why = why_no_lora(base.architecture)
    if why is not None:
        raise Conflict(
            f"{why}, so adapters of base {base.name!r} cannot be served; train on a base of another architecture.",
            code="no_lora",
        )
    catalog.check_adapter(adapter, base.name)
    return base


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


def why_no_lora(architecture: str) -> str | None:
    """Why adapters of such a base cannot be served, as a clause; None where they can, or where vLLM does not know the class.

    Facts of the pinned vLLM's model classes, kept as data so that vLLM is not needed.
    """
    version, without = _vllm_facts()
    if architecture not in without:
        return None
    return f"vLLM {version} serves {architecture} without LoRA"


@cache
def _vllm_facts() -> tuple[str, frozenset[str]]:
    data = json.loads(package_files("lorarack.registry.base_model").joinpath("vllm_lora.json").read_text())
    return str(data["vllm"]), frozenset(data["no_lora"])


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


def _plain_name(identity: str) -> str:
    return identity.rstrip("/").rpartition("/")[2].lower().replace(" ", "-")[:63]


def _notes(base: Base, before: str | None, used: bool, place: str, template: str | None) -> Iterable[str]:
    """What is not as one may think who added a model that was known, loaded from ``before``."""
    if before is None:
        return
    if not used:
        yield (
            f"The model in {place!r} is base {base.name!r}, which is still loaded from {base.source!r}; "
            "give --use to load it from here."
        )
    elif base.source != before:
        yield f"Base {base.name!r} is loaded from {base.source!r}."
    if template != base.template:
        yield (
            f"The chat template in {place!r} differs from that of base {base.name!r}: prompts formatted with it differ from "
            "those that its adapters were trained on."
        )
