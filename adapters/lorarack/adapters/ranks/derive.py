"""From versions to a version made of them, with its parents."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from pydantic import JsonValue

from lorarack.adapters.silence_libraries import silence_libraries
from lorarack.registry.artifact.manifest import CHAT_TEMPLATE, DEFAULTS
from lorarack.registry.errors import UsageError
from lorarack.registry.interface import Registry
from lorarack.registry.serving_defaults import ServingDefaults
from lorarack.registry.values import Parent, Provenance, Published, Version


def need_packages() -> None:
    """Refuse to begin without the packages of training.

    Raises:
        UsageError: with the way out.
    """
    missing = [name for name in ("torch", "safetensors", "peft") if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"Changing an adapter needs the package {missing[0]!r}; install it with: pip install 'lorarack[train]'.",
            code="not_installed",
        )


@contextmanager
def fetched(registry: Registry, versions: Sequence[Version]) -> Iterator[list[Path]]:
    """Folders with the versions' files, for as long as the block runs.

    Raises:
        Damaged: stored bytes changed.
        StoreError: the disk, or files that are not there.
    """
    with tempfile.TemporaryDirectory(prefix="lorarack-ranks-") as workspace, silence_libraries():
        yield [registry.fetch(version, Path(workspace) / f"v{place}") for place, version in enumerate(versions)]


def publish_derived(
    registry: Registry,
    folder: Path,
    parents: Sequence[Version],
    relation: str,
    how: Mapping[str, JsonValue],
    name: str | None = None,
) -> Published:
    """Publish what ``folder`` holds as made from ``parents``: asked as they are, where they agree on that.

    Args:
        registry: where the parents are and the version goes.
        folder: a PEFT folder.
        parents: what it was made from, all on one base.
        relation: how, in one word.
        how: the settings, kept in the provenance.
        name: the adapter; without it that of the first parent.

    Raises:
        UsageError: a bad name.
        Conflict: the adapter ``name`` belongs to another base.
        InvalidArtifact: the outcome is no adapter that can be kept.
        StoreError: disk or database.
    """
    template, defaults = _prompt_settings(registry, parents)
    if template is not None:
        (folder / CHAT_TEMPLATE).write_bytes(template.encode())
    return registry.publish(
        folder,
        name or parents[0].adapter,
        base=parents[0].base,
        defaults=defaults,
        provenance=Provenance(recipe={relation: {"from": [version.reference for version in parents], **how}}),
        parents=[Parent(version=version.reference, relation=relation) for version in parents],
    )


def _prompt_settings(registry: Registry, parents: Sequence[Version]) -> tuple[str | None, ServingDefaults]:
    """The chat template and the defaults that all ``parents`` have; what they differ in is left out."""
    templates = {version.file_digest(CHAT_TEMPLATE) for version in parents}
    defaults = {version.file_digest(DEFAULTS) for version in parents}
    return (
        registry.chat_template(parents[0]) if len(templates) == 1 else None,
        registry.serving_defaults(parents[0]) if len(defaults) == 1 else ServingDefaults(),
    )
