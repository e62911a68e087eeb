"""A version from a repository on the Hub into the registry."""

import json
import shlex
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lorarack.registry.artifact.manifest import CONFIG
from lorarack.registry.disk import disk_errors
from lorarack.registry.errors import InvalidArtifact
from lorarack.registry.hub.client import hub_api
from lorarack.registry.hub.names import RepositoryName, check_subfolder, parse_repository
from lorarack.registry.hub.origin import find_base, folder_digests
from lorarack.registry.hub.remote_files import RemoteFiles
from lorarack.registry.hub.repository import CARD, choose_files, files_in, read_listing
from lorarack.registry.hub.results import read_claims
from lorarack.registry.interface import Registry
from lorarack.registry.texts import check_adapter_name
from lorarack.registry.value import Value
from lorarack.registry.values import Provenance, Published


class Pulled(Value):
    """What ``pull`` did."""

    published: Published
    repository: str
    commit: str
    notes: tuple[str, ...] = ()


def pull(
    registry: Registry,
    repo_id: str,
    revision: str | None = None,
    name: str | None = None,
    base: str | None = None,
    subfolder: str | None = None,
) -> Pulled:
    """Publish the adapter in a repository as a version of adapter ``name``, checked like any other folder.

    The revision is pinned to a commit first, so a branch that moves meanwhile changes nothing.

    Args:
        registry: where it goes.
        repo_id: ``ORG/REPO``, or its address on the Hub.
        revision: a branch, tag or commit; the main branch without it.
        name: the adapter's name; without it the repository's, in lower case.
        base: the base model; without it the one that the adapter's configuration names.
        subfolder: the folder in the repository that holds the adapter; its top without it.

    Raises:
        UsageError: a bad name. NotFound: no such repository or revision, or a base that the registry does not know.
        NotAllowed: the token is refused. Unavailable: the Hub cannot be reached.
        InvalidArtifact: it holds no adapter that can be kept; said before anything large is downloaded where possible.
        Conflict, StoreError: as ``Registry.publish``.
    """
    asked = _asked(repo_id, revision, subfolder)
    repo_id = asked.repo_id
    adapter = check_adapter_name(name or repo_id.lower())
    api = hub_api()
    listing = read_listing(api, asked)
    commit, sizes = listing.commit, listing.sizes
    source = f"{repo_id}@{commit}" + (f"/{asked.subfolder}" if asked.subfolder else "")
    place = f"{asked.subfolder}/" if asked.subfolder else ""
    names = choose_files(
        files_in(sizes, asked.subfolder, f"{repo_id}@{commit}"),
        source,
        lambda below: f"with: lorarack pull {asked} --subfolder {shlex.quote(place + below)}",
    )
    with disk_errors(), tempfile.TemporaryDirectory(prefix="lorarack-pull-") as temporary:
        # Called as in the repository: a checkpoint's name says of which step it is.
        folder = Path(temporary) / "adapter" / (asked.subfolder or "adapter").rpartition("/")[2]
        folder.mkdir(parents=True)
        download = _Download(RemoteFiles(api, repo_id, commit), place, sizes, folder)
        download.get(CONFIG)
        found, notes = find_base(registry, _config(folder / CONFIG, source), source, base)
        for file in names - {CONFIG}:
            download.get(file)
        claims = read_claims(download.take(CARD), folder_digests(folder))
        try:
            published = registry.publish(
                folder,
                adapter,
                base=found.name,
                metrics=claims.metrics,
                tags=claims.tags,
                description=claims.description,
                provenance=Provenance(source=source),
            )
        except InvalidArtifact as error:
            raise InvalidArtifact(error.problems, subject=f"The repository {source!r}") from error
    notes = (*notes, *claims.notes, *published.notes)
    return Pulled(published=published, repository=repo_id, commit=commit, notes=notes)


def _asked(repo_id: str, revision: str | None, subfolder: str | None) -> RepositoryName:
    asked = parse_repository(repo_id)
    if revision:
        asked = replace(parse_repository(f"{asked.repo_id}@{revision}"), subfolder=asked.subfolder)
    return replace(asked, subfolder=check_subfolder(subfolder.strip("/"))) if subfolder else asked


class _Download:
    """Files of one place in a repository into a folder that holds nothing else."""

    def __init__(self, files: RemoteFiles, place: str, sizes: Mapping[str, int], folder: Path) -> None:
        self._files, self._place, self._sizes, self._folder = files, place, sizes, folder

    def get(self, name: str) -> None:
        """Download one file, of the size that was stated."""
        path = self._place + name
        with (self._folder / name).open("xb") as target:
            self._files.download(path, self._sizes[path], target)

    def take(self, name: str) -> str:
        """Take a text file out of the folder; empty when it is not there."""
        path = self._folder / name
        if not path.is_file():
            return ""
        text = path.read_text(encoding="utf-8", errors="replace")
        path.unlink()
        return text


def _config(path: Path, source: str) -> dict[str, Any]:
    try:
        config = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        raise InvalidArtifact([f"its {CONFIG} is not a JSON object"], subject=f"The repository {source!r}")
    return config
