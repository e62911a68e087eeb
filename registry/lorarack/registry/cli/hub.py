"""``lorarack push`` and ``lorarack pull``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from lorarack.registry.cli.options import JsonOption, RegistryOption
from lorarack.registry.cli.output import emit, note
from lorarack.registry.cli.render import short_digest
from lorarack.registry.interface import Registry
from lorarack.registry.registry import open_registry

if TYPE_CHECKING:
    from lorarack.registry.hub.pull import Pulled


def mount(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("push")(push)
    app.command("pull")(pull)


def push(
    reference: Annotated[str, typer.Argument(metavar="REF", help="For example support@prod.")],
    repository: Annotated[str, typer.Argument(metavar="ORG/REPO", help="Repository on the Hub; created if it is new.")],
    private: Annotated[
        bool, typer.Option("--private", help="A new repository is private; a public one is refused.")
    ] = False,
    folder: Annotated[
        Path | None, typer.Option(help="Only write what would be pushed to this folder; the Hub is not asked.")
    ] = None,
    license_: Annotated[str | None, typer.Option("--license", help="For the card, for example apache-2.0.")] = None,
    example: Annotated[str | None, typer.Option(help="A prompt for the card's lines about use.")] = None,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Push a version to the Hub: PEFT's files and a model card, in one commit.

    The token is HF_TOKEN, the Hub's address HF_ENDPOINT.

    Example: lorarack push support@prod acme/support --private
    """
    from lorarack.registry.hub import push as hub

    with open_registry(registry, create=False) as opened:
        if folder is not None:
            _write(opened, reference, repository, folder, license_, example, json)
            return
        done = hub.push(opened, reference, repository, private=private, license_id=license_, example_prompt=example)
    version = done.version
    record = version.brief() | done.model_dump(mode="json", exclude={"version"})
    what = "Pushed" if done.created else "Already there:"
    emit(
        record,
        json,
        lambda: (
            f"{what} [bold]{version.reference}[/bold] at {done.url} (commit {done.commit[:12]}).\n"
            f"Others get it with: lorarack pull {done.repository}"
        ),
    )


def pull(
    repository: Annotated[
        str, typer.Argument(metavar="ORG/REPO[@REV]", help="Repository on the Hub: its id or address.")
    ],
    name: Annotated[
        str | None, typer.Argument(help="The adapter's name here. Default: the repository's, lower-cased.")
    ] = None,
    base: Annotated[str | None, typer.Option(help="The base model. Default: the one that the adapter names.")] = None,
    subfolder: Annotated[
        str | None, typer.Option(help="The folder in the repository that holds the adapter. Default: its top.")
    ] = None,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Pull an adapter from the Hub: pinned to a commit, checked, and published here as a version.

    Example: lorarack pull acme/support@main support
    """
    from lorarack.registry.hub import pull as hub

    with open_registry(registry, create=False) as opened:
        done = hub.pull(opened, repository, None, name, base, subfolder)
    for text in done.notes:
        note(text)
    version = done.published.version
    record = {
        "name": version.adapter,
        "created": done.published.created,
        "repository": done.repository,
        "commit": done.commit,
    }
    record |= version.to_json()
    emit(record, json, lambda: _pulled(done))


def _write(
    opened: Registry,
    reference: str,
    repository: str,
    folder: Path,
    license_: str | None,
    example: str | None,
    json: bool,
) -> None:
    from lorarack.registry.hub.names import parse_repository
    from lorarack.registry.hub.push import write_folder

    repo_id = parse_repository(repository).repo_id
    version = opened.resolve(reference)
    write_folder(opened, version.reference, folder, example, repo_id=repo_id, license_id=license_)
    files = sorted(path.name for path in folder.iterdir())
    record = {**version.brief(), "folder": str(folder), "files": files}
    emit(
        record,
        json,
        lambda: (
            f"Wrote [bold]{version.reference}[/bold] to {escape(str(folder))} as it would go to the Hub.\n"
            f"Push it with: lorarack push {reference} {repo_id}"
        ),
    )


def _pulled(done: "Pulled") -> str:
    version = done.published.version
    what = "Pulled" if done.published.created else "Already there:"
    return (
        f"{what} [bold]{version.reference}[/bold] (rank {version.rank}, {short_digest(version.digest)}) "
        f"from {done.repository} at commit {done.commit[:12]}.\n"
        f"Serve it with: lorarack serve {escape(version.base)}"
    )
