"""A version as it would go to the Hub, in a folder."""

from pathlib import Path

from lorarack.registry.disk import disk_errors, remove_tree
from lorarack.registry.hub.card import CardOptions, model_card
from lorarack.registry.interface import Registry

CARD = "README.md"


def write_folder(
    registry: Registry,
    reference: str,
    folder: Path,
    example_prompt: str | None = None,
    *,
    repo_id: str | None = None,
    license_id: str | None = None,
) -> Path:
    """Write exactly the files that ``push`` would upload: PEFT's, with the base's public id, and the model card.

    Args:
        registry: where the version is.
        reference: which version.
        folder: a new or empty folder; there whole or not at all.
        example_prompt: a prompt for the card's lines about use.
        repo_id: the repository that the card speaks of; without it a placeholder.
        license_id: the adapter's licence, for example ``apache-2.0``.

    Raises:
        BadReference: not a reference.
        NotFound: no such version.
        Conflict: the folder is not empty, or the version is not ready.
        Damaged: stored bytes have changed.
        StoreError: disk or database.
    """
    version = registry.resolve(reference)
    card = model_card(version, registry.base(version.base), CardOptions(repo_id, license_id, example_prompt))
    registry.fetch(version, folder)
    try:
        with disk_errors():
            (folder / CARD).write_bytes(card.encode(errors="replace"))
    except BaseException:
        remove_tree(folder)
        raise
    return folder
