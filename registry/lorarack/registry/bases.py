"""Base models: adding them, and what a call means by one."""

from collections.abc import Callable, Iterable

from lorarack.registry.base_model.content import Progress
from lorarack.registry.base_names import find_base
from lorarack.registry.errors import Conflict, NotFound, UsageError
from lorarack.registry.interface import Catalog
from lorarack.registry.reference import check_adapter_name
from lorarack.registry.texts import MAX_NAME, check_text
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
    from lorarack.registry.base_model.fingerprint import complete, look_at_base
    from lorarack.registry.base_model.vllm_lora import why_no_lora
    from lorarack.registry.base_upgrade import renew_like
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
        raise UsageError(f"{relation!r} is no such relation; say one of {', '.join(RELATIONS)}.", code="bad_relation")
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
    from lorarack.registry.base_model.vllm_lora import why_no_lora

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


def _plain_name(identity: str) -> str:
    return identity.rstrip("/").rpartition("/")[2].lower().replace(" ", "-")[:63]


def _notes(base: Base, before: str | None, used: bool, place: str, template: str | None) -> Iterable[str]:
    """What is not as one may think who added a model that was known, loaded from ``before``."""
    if before is None:
        return
    if not used:
        yield (
            f"The model in {place!r} is base {base.name!r}, which goes on being loaded from {base.source!r}; "
            "give --use to load it from here."
        )
    elif base.source != before:
        yield f"Base {base.name!r} is loaded from {base.source!r}."
    if template != base.template:
        yield (
            f"The chat template in {place!r} is another than that of base {base.name!r}: prompts made there read otherwise than "
            "those that its adapters were trained on."
        )
