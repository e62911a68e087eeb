"""``lorarack demo run`` and ``lorarack demo base``."""

import typer

from lorarack.registry.cli.options import JsonOption, RegistryOption
from lorarack.registry.cli.output import emit, note, out, talk
from lorarack.registry.cli.render import short_digest


def mount(app: typer.Typer) -> None:
    """Add the ``demo`` group."""
    group = typer.Typer(no_args_is_help=True, help="A small real base and task, from training to the Hub.")
    group.command("run")(run)
    group.command("base")(base)
    app.add_typer(group, name="demo")


def run(json: JsonOption = False) -> None:
    """Study two ranks of an adapter, serve both and the base from one engine, compare them and keep one.

    Everything lies in the home folder ($LORARACK_HOME, else ~/.lorarack) and is used again by the next run.

    Example: lorarack demo run
    """
    from lorarack.demo.console import StepConsole
    from lorarack.demo.run import STEPS, run_demo

    told = run_demo(StepConsole(talk if json else out, STEPS))
    emit(told, json, lambda: None)


def base(registry: RegistryOption = None, json: JsonOption = False) -> None:
    """Make the small demo base model ready and add it to the registry.

    Example: lorarack demo base
    """
    from lorarack.demo.base import ensure_base
    from lorarack.registry.registry import open_registry

    with open_registry(registry) as opened:
        ready = ensure_base(opened, note)
    record = {**ready.model_dump(mode="json", exclude={"modules"}), "path": ready.source}
    emit(record, json, lambda: f"Base [bold]{ready.name}[/bold] {short_digest(ready.fingerprint)} in {ready.source}")
