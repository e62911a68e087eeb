"""Base models."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from lorarack.registry.base_names import find_base, is_called
from lorarack.registry.errors import Conflict, NotFound, UsageError
from lorarack.registry.operations.parts import Parts
from lorarack.registry.reference import check_adapter_name
from lorarack.registry.values import Base, CheckedBase

if TYPE_CHECKING:
    from lorarack.registry.base_model.content import Progress

__all__ = ["RELATIONS", "BaseOperations", "is_called"]

#: How one base may come from another; adapters of a base also fit its copies.
_COPIES = ("quantized", "converted")
RELATIONS = (*_COPIES, "finetuned")


def _nobody(_: str) -> None:
    """Hears nothing."""


class BaseOperations(Parts):
    """What can be done about base models."""

    def add_base(
        self,
        source: str,
        name: str | None = None,
        *,
        use: bool = False,
        progress: "Progress | None" = None,
        say: Callable[[str], None] = _nobody,
    ) -> Base:
        """Fingerprint the base model at ``source`` (a folder or ``ORG/REPO[@REVISION]``) and keep it under ``name``.

        The same model again, from wherever, is the same base and becomes known to be there too.

        Args:
            source: where it is.
            name: its plain name; by default the last part of the source.
            use: load a base that is known from here from now on, and not from where it was.
            progress: hears the sizes of the pieces of weights as they are read, once per file.
            say: hears one sentence about each thing that is not as the caller may think.

        Raises:
            UsageError: the name cannot be one, or a base that lies in a folder is to be loaded from the Hub.
            NotFound: nothing there.
            InvalidArtifact: not a base model.
            Conflict: the name is taken, or the model is known by another; or its files changed meanwhile.
            Unavailable: the Hub cannot be reached.
        """
        from lorarack.registry.base_model.fingerprint import complete, look_at_base
        from lorarack.registry.base_model.vllm_lora import why_no_lora
        from lorarack.registry.base_upgrade import renew_like
        from lorarack.registry.hub.base_files import find_files

        before = {base.name: base.source for base in self.bases()}
        files = find_files(source)
        if name is not None:
            check_adapter_name(name)
        look = look_at_base(files)
        known_as = files.identity().model_copy(update={"template": look.template})
        reading = complete(look, files, progress)
        renew_like(self.bases(), reading, known_as, self._writer, say)
        default_name = _plain_name(known_as.value)
        if name is None and not any(
            {reading.fingerprint, reading.by_files} & set(b.fingerprints) for b in self.bases()
        ):
            check_adapter_name(default_name)
        added = self._writer.add_base(reading, name, default_name, known_as, use=use)
        base = self._base_named(added.name)
        for line in _notes(base, before.get(added.name), added.used, known_as.value, look.template):
            say(line)
        if added.created and (why := why_no_lora(base.architecture)) is not None:
            say(f"{why}: base {base.name!r} can be served, adapters of it cannot.")
        for other in added.taken_from:
            say(f"{known_as.value!r} held base {other!r} before; that base is no longer known to be there.")
        return base

    def bases(self) -> tuple[Base, ...]:
        """All base models, by name."""
        return self._reader.bases()

    def base(self, ident: str) -> Base:
        """The base model with that name, fingerprint or Hub id; else the one in that folder.

        Raises:
            NotFound: none; the sentence says how to add one.
        """
        bases = self.bases()
        found = find_base(bases, ident)
        if found is None:
            names = ", ".join(repr(base.name) for base in bases) or "none yet"
            raise NotFound(
                f"There is no base model {ident!r} (known: {names}); add one with 'lorarack base add FOLDER-OR-ID'.",
                code="unknown_base",
            )
        return found

    def check_base(self, ident: str, *, full: bool = False, progress: "Progress | None" = None) -> CheckedBase:
        """Whether the files of a base still are the model whose fingerprint its answers carry, and what to load.

        Quick: configuration, token table, headers and a sample of the weights (milliseconds). Full: every byte of the weights;
        files that were hashed before and have not been written to since are not read again. Where the quick look finds a
        difference, the full one decides. A base on the Hub is pinned to its commit and is not looked at.

        Args:
            ident: the base, as for ``base``.
            full: look at every byte.
            progress: hears the sizes of the pieces of weights as they are read.

        Raises:
            NotFound: no such base, or its folder is gone and it is not known on the Hub (``base_gone``).
            Conflict: the files are another model by now (``base_changed``); the sentence names the difference.
            InvalidArtifact: the files are no model any more.
        """
        from lorarack.registry.base_check import check_files

        return check_files(self.base(ident), self._writer, full=full, progress=progress)

    def link_base(self, name: str, original: str, relation: str) -> Base:
        """Say that base ``name`` was made from base ``original``: ``quantized``, ``converted`` or ``finetuned``.

        Raises:
            NotFound: no such base.
            UsageError: another word, or a base that would descend from itself.
        """
        if relation not in RELATIONS:
            raise UsageError(
                f"{relation!r} is no such relation; say one of {', '.join(RELATIONS)}.", code="bad_relation"
            )
        child = self.base(name)
        self._writer.link_base(child.name, self.base(original).name, relation)
        return self.base(child.name)

    def originals(self, base: Base) -> tuple[Base, ...]:
        """``base`` and the bases that it is a quantized or converted copy of, nearest first: adapters of all of them fit it."""
        known = {found.name: found for found in self.bases()}
        chain = [base]
        while chain[-1].original is not None and chain[-1].relation in _COPIES:
            chain.append(known[chain[-1].original])
        return tuple(chain)

    def _check_takes_lora(self, base: Base) -> None:
        """Raises ``Conflict`` where the pinned vLLM serves no adapters on a base of this architecture."""
        from lorarack.registry.base_model.vllm_lora import why_no_lora

        why = why_no_lora(base.architecture)
        if why is not None:
            raise Conflict(
                f"{why}, so adapters of base {base.name!r} cannot be served; train on a base of another architecture.",
                code="no_lora",
            )

    def _base_named(self, name: str) -> Base:
        return next(base for base in self.bases() if base.name == name)

    def _known_base(self, ident: str) -> Base | None:
        """What an adapter's own configuration names; a folder only by its whole path, for it was written elsewhere."""
        return find_base(self.bases(), ident, folders=Path(ident).is_absolute())

    def _copied_from(self, base: Base) -> str:
        """The name of the base that ``base`` is a quantized or converted copy of in the end; its own if it is none."""
        return self.originals(base)[-1].name


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
