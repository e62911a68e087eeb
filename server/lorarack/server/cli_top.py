"""The command `top`: a running server's versions, live."""

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lorarack.registry.cli.options import JsonOption
from lorarack.registry.cli.output import emit, out
from lorarack.registry.openai_client import ModelServer
from lorarack.server.cli_common import key_from_environment, named
from lorarack.server.top import ServerLoad, VersionLoad

#: Seconds that a look may take.
_PATIENCE = 10.0


def top(
    url: Annotated[
        str, typer.Option(envvar="LORARACK_URL", help="The running server's address.")
    ] = "http://127.0.0.1:8000",
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between looks.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Look once instead of watching.")] = False,
    json: JsonOption = False,
) -> None:
    """Watch a running server: which versions are loaded, asked for, waiting and failing. Ctrl-C ends it.

    With --json it looks once. A key is taken from LORARACK_TOKEN.

    Example: lorarack top --url http://127.0.0.1:8000
    """
    from lorarack.server.top import look

    server = ModelServer(url, key_from_environment(), _PATIENCE)
    now = look(server)
    if json or once or not out.is_terminal:
        emit(_json(now), json, lambda: _table(now, None, 0.0))
        return
    with Live(_table(now, None, 0.0), console=out, screen=False, auto_refresh=False) as live:
        while True:
            began = time.monotonic()
            time.sleep(every)
            before, now = now, look(server)
            live.update(_table(now, before, time.monotonic() - began), refresh=True)


def _json(load: ServerLoad) -> dict[str, Any]:
    found = asdict(load)
    found["versions"] = [
        {**named(one["name"]), **{k: v for k, v in one.items() if k != "name"}} for one in found["versions"]
    ]
    return found


def _table(load: ServerLoad, before: ServerLoad | None, seconds: float) -> Table:
    ready = "ready" if load.ready else f"not ready: {load.reason}"
    places = f"{load.loaded} of {load.capacity}" if load.capacity is not None else str(load.loaded)
    table = Table(
        title=Text(f"{load.base} at {load.url}: {ready}, {places} loaded, {load.evictions} evicted"),
        title_justify="left",
    )
    for heading in ("version", "state", "rank"):
        table.add_column(heading)
    per = "/s" if before else ""
    for heading in ("running", "waiting", f"requests{per}", "errors", f"tokens{per}", "first token", "between tokens"):
        table.add_column(heading, justify="right")
    earlier = {one.name: one for one in before.versions} if before else {}
    for one in load.versions:
        table.add_row(*_row(one, earlier, seconds))
    return table


def _row(one: VersionLoad, earlier: Mapping[str, VersionLoad], seconds: float) -> list[str]:
    requests, tokens = str(one.requests), str(one.tokens)
    if seconds:
        # A version that has just got series of its own began at nothing.
        then = earlier.get(one.name, VersionLoad(one.name))
        requests = f"{max(0, one.requests - then.requests) / seconds:.1f}"
        tokens = f"{max(0, one.tokens - then.tokens) / seconds:.0f}"
    state = (one.state or "") + (", pinned" if one.pinned else "")
    return [
        one.name, state, "" if one.rank is None else str(one.rank), str(one.running), str(one.waiting), requests,
        str(one.errors), tokens, _milliseconds(one.first_token), _milliseconds(one.between_tokens),
    ]  # fmt: skip


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1e3:.0f} ms"
