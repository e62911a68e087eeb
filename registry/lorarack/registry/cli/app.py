"""The root of the command line: the registry's own commands, and those that other components mount."""

from collections.abc import Iterable
from functools import cache
from importlib import import_module
from typing import Annotated, Any

import typer

#: The modules that have the registry's commands, in the order of the help, each with its commands' names.
MODULES = {
    "base": ("base",),
    "publish": ("publish",),
    "list_show": ("list", "show"),
    "search": ("search", "best"),
    "diff": ("diff",),
    "lineage": ("lineage",),
    "events": ("events",),
    "tag": ("tag",),
    "alias": ("alias",),
    "promote": ("promote", "rollback"),
    "experiment": ("experiment",),
    "fetch_delete": ("fetch", "delete"),
    "lifecycle": ("archive", "restore", "quarantine"),
    "gc": ("gc", "retention"),
    "verify": ("verify",),
    "key": ("key",),
    "portability": ("export", "import"),
    "hub": ("push", "pull"),
}
_MODULE_OF = {command: module for module, commands in MODULES.items() for command in commands}


def root_command(first: str | None = None) -> Any:
    """What runs a command line whose first word is ``first``: a Click command, built once a process.

    Where the word is a command of the registry, it has the commands of that word's module alone: importing all the others
    takes longer than most commands do.
    """
    return _root_command(_MODULE_OF.get(first) if first else None)


@cache
def _root_command(module: str | None) -> Any:
    return typer.main.get_command(build_app(module))


def build_app(module: str | None = None) -> typer.Typer:
    """The root application with every installed component's commands, or with those of one of ``MODULES``."""
    app = typer.Typer(
        name="lorarack",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    if module:
        _mount(app, [module])
        return app
    _mount(app, MODULES)
    from importlib.metadata import entry_points

    for point in sorted(entry_points(group="lorarack.commands"), key=lambda found: found.name):
        point.load()(app)
    return app


def _mount(app: typer.Typer, modules: Iterable[str]) -> None:
    for module in modules:
        import_module(f"lorarack.registry.cli.{module}").mount(app)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        from lorarack.registry.cli.output import out

        out.print(f"lorarack {version('lorarack')}")
        raise typer.Exit


def _root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """One base model, many LoRA adapters: version them, serve them all from one engine, compare their ranks."""
