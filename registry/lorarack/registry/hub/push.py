"""A version from the registry to a repository on the Hub."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lorarack.registry.disk import disk_errors, remove_tree
from lorarack.registry.errors import Conflict, NotAllowed, NotFound, UsageError
from lorarack.registry.hub.card import CardOptions, model_card
from lorarack.registry.hub.client import hub_api, hub_errors
from lorarack.registry.hub.names import whole_repository
from lorarack.registry.hub.repository import CARD
from lorarack.registry.interface import Registry
from lorarack.registry.value import Value
from lorarack.registry.values import Version

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import ModelInfo


class Pushed(Value):
    """What ``push`` did: ``created`` is false when the repository held exactly these files already."""

    version: Version
    repository: str
    url: str
    commit: str
    created: bool
    files: tuple[str, ...]


def push(
    registry: Registry,
    reference: str,
    repo_id: str,
    *,
    private: bool = False,
    license_id: str | None = None,
    example_prompt: str | None = None,
) -> Pushed:
    """Upload a version's files and its model card in one commit; the repository is made when it is new.

    Other files of the repository are left alone. Pushing what is there already makes no commit.

    Raises:
        UsageError: not the name of a repository.
        BadReference: not a reference.
        NotFound: no such version.
        NotAllowed: no token, or one that may not write there.
        Conflict: the version is not ready, or ``private`` was asked for and the repository is public.
        Unavailable: the Hub cannot be reached.
        Damaged: stored bytes have changed.
        StoreError: disk or database.
    """
    name = whole_repository(repo_id)
    repo_id = name.repo_id
    if name.revision:
        raise UsageError(
            f"A version is pushed to the main branch; write {name.repo_id!r} alone.", code="bad_repository"
        )
    version = registry.resolve(reference)
    api = hub_api()
    if not api.token:
        raise NotAllowed(
            f"There is no token for the Hub; set HF_TOKEN to one that may write to {repo_id!r}, or run 'hf auth login'.",
            code="no_token",
        )
    with disk_errors(), tempfile.TemporaryDirectory(prefix="lorarack-push-") as temporary:
        folder = write_folder(
            registry, version.reference, Path(temporary) / "out", example_prompt, repo_id=repo_id, license_id=license_id
        )
        with hub_errors(repo_id):
            before = _open(api, repo_id, private)
            commit = _commit(api, repo_id, folder, version)
        files = tuple(sorted(path.name for path in folder.iterdir()))
    return Pushed(
        version=version,
        repository=repo_id,
        url=f"{api.endpoint}/{repo_id}",
        commit=commit,
        created=commit != before.sha,
        files=files,
    )


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
    options = CardOptions(repo_id, license_id, example_prompt)
    card = model_card(version, registry.base(version.base), options, registry.serving_defaults(version))
    registry.fetch(version, folder)
    try:
        with disk_errors():
            (folder / CARD).write_bytes(card.encode(errors="replace"))
    except BaseException:
        remove_tree(folder)
        raise
    return folder


def _open(api: "HfApi", repo_id: str, private: bool) -> "ModelInfo":
    """What the repository is before the push; made when there is none."""
    try:
        with hub_errors(repo_id):
            found = api.model_info(repo_id)
    except NotFound:
        api.create_repo(repo_id, private=private or None, exist_ok=True)
        found = api.model_info(repo_id)
    if private and not found.private:
        raise Conflict(
            f"The repository {repo_id!r} is public already; make it private in its settings, or push without --private.",
            code="public",
        )
    return found


def _commit(api: "HfApi", repo_id: str, folder: Path, version: Version) -> str:
    # Not upload_folder: where the client has Xet, that makes several commits, and a puller could see half a version.
    from huggingface_hub import CommitOperationAdd

    operations = [CommitOperationAdd(path.name, path) for path in sorted(folder.iterdir())]
    done = api.create_commit(
        repo_id,
        operations,
        commit_message=f"{version.reference}: rank {version.rank}",
        commit_description=f"Digest {version.digest}, published from a lorarack registry.",
    )
    return done.oid
