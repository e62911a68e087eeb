"""Base models."""

import os

from lorarack.registry.errors import NotFound, UsageError
from lorarack.registry.operations.parts import Parts
from lorarack.registry.reference import check_adapter_name
from lorarack.registry.values import Base

#: How one base may come from another; adapters of a base also fit its copies.
_COPIES = ("quantized", "converted")
RELATIONS = (*_COPIES, "finetuned")


class BaseOperations(Parts):
    """What can be done about base models."""

    def add_base(self, source: str, name: str | None = None) -> Base:
        """Fingerprint the base model at ``source`` (a folder or ``ORG/REPO[@REVISION]``) and keep it under ``name``.

        The same model again, from wherever, is the same base and becomes known by one more id.

        Raises:
            NotFound: nothing there. InvalidArtifact: not a base model. Conflict: the name is taken. Unavailable: no Hub.
        """
        from lorarack.registry.base_model.files import find_files
        from lorarack.registry.base_model.fingerprint import read_base

        files = find_files(source)
        known_as = files.identity()
        chosen = check_adapter_name(name or _plain_name(known_as.value))
        return self.base(self._writer.add_base(read_base(files), chosen, known_as))

    def bases(self) -> tuple[Base, ...]:
        """All base models, by name."""
        return self._reader.bases()

    def base(self, ident: str) -> Base:
        """The base model with that name, Hub id, folder or fingerprint.

        Raises:
            NotFound: none; the sentence says how to add one.
        """
        bases = self.bases()
        for base in bases:
            if is_called(base, ident):
                return base
        names = ", ".join(repr(base.name) for base in bases) or "none yet"
        raise NotFound(
            f"There is no base model {ident!r} (known: {names}); add one with 'lorarack base add FOLDER-OR-ID'.",
            code="unknown_base",
        )

    def link_base(self, name: str, original: str, relation: str) -> Base:
        """Say that base ``name`` was made from base ``original``: ``quantized``, ``converted`` or ``finetuned``.

        Raises:
            NotFound: no such base. UsageError: another word, or a base that would descend from itself.
        """
        if relation not in RELATIONS:
            raise UsageError(
                f"{relation!r} is no such relation; say one of {', '.join(RELATIONS)}.", code="bad_relation"
            )
        child = self.base(name)
        self._writer.link_base(child.name, self.base(original).name, relation)
        return self.base(child.name)

    def _known_base(self, ident: str) -> Base | None:
        try:
            return self.base(ident)
        except NotFound:
            return None

    def _copied_from(self, base: Base) -> str:
        """The name of the base that ``base`` is a quantized or converted copy of in the end; its own if it is none."""
        known = {found.name: found for found in self.bases()}
        while base.original is not None and base.relation in _COPIES:
            base = known[base.original]
        return base.name


def is_called(base: Base, ident: str) -> bool:
    """Whether ``ident`` is the base's name, fingerprint, Hub id (at a revision) or folder."""
    if ident in {base.name, base.fingerprint, *(known.value for known in base.ids), *_at_revisions(base)}:
        return True
    return any(known.kind == "path" and known.value == _real_path(ident) for known in base.ids)


def _plain_name(identity: str) -> str:
    return identity.rstrip("/").rpartition("/")[2].lower().replace(" ", "-")[:63]


def _real_path(ident: str) -> str | None:
    try:
        return os.path.realpath(os.path.expanduser(ident))
    except ValueError:  # a NUL
        return None


def _at_revisions(base: Base) -> set[str]:
    return {f"{known.value}@{known.revision}" for known in base.ids if known.kind == "hub" and known.revision}
