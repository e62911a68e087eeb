"""``lorarack lineage``."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.tree import Tree

from lorarack.registry.cli.options import JsonOption, RegistryOption
from lorarack.registry.cli.output import emit
from lorarack.registry.queries import Lineage
from lorarack.registry.registry import open_registry

#: By version: the versions that it leads to and how.
Ways = Mapping[str, Sequence[tuple[str, str]]]


def mount(app: typer.Typer) -> None:
    """Add the command."""
    app.command("lineage")(lineage)


def lineage(
    reference: Annotated[str, typer.Argument(metavar="REF", help="For example support@prod.")],
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Show what a version was derived from and what was derived from it, as two trees.

    Example: lorarack lineage support@prod
    """
    with open_registry(registry, create=False) as opened:
        found = opened.lineage(reference)
    emit(found, json, lambda: _trees(found))


def _trees(found: Lineage) -> RenderableType:
    name = found.version.reference
    up = _ways((link.child, link.parent, link.relation) for link in found.ancestors)
    down = _ways((link.parent, link.child, f"{link.relation} from it") for link in found.descendants)
    base = " ← ".join(found.base)
    parts: list[RenderableType] = [
        f"[bold]{name}[/bold] (rank {found.version.rank}, {found.version.state}) on base {escape(base)}",
        _tree("derived from", name, up) if up else "derived from: no version known here",
        _tree("derived from it", name, down) if down else "derived from it: nothing yet",
    ]
    return Group(*parts)


def _ways(links: Iterable[tuple[str, str, str]]) -> Ways:
    ways: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for start, end, relation in links:
        ways[start].append((end, relation))
    return ways


def _tree(title: str, start: str, ways: Ways) -> Tree:
    tree = Tree(title)
    shown: set[str] = set()
    # Not by recursion: a line of descent may be longer than Python's stack. Last in, first out keeps the order of a walk.
    waiting = [(tree, end, relation) for end, relation in reversed(ways[start])]
    while waiting:
        branch, version, relation = waiting.pop()
        again = version in shown and version in ways
        leaf = branch.add(f"{version}  [dim]{escape(relation)}{' (see above)' if again else ''}[/dim]")
        if not again:
            waiting += [(leaf, end, how) for end, how in reversed(ways.get(version, ()))]
        shown.add(version)
    return tree
