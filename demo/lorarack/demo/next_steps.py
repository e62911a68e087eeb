"""What the demo leaves behind, and what to try next."""

import json
import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from lorarack.demo.places import Places
from lorarack.registry.cli.render import size, table

SERVE_FLAGS = (
    "--enforce-eager",
    "--kv-cache-memory-bytes", "512M",
    "--max-model-len", "1024",
    "--max-num-seqs", "96",
    "--max-lora-rank", "16",
    "--max-loras", "4",
)  # fmt: skip


def command() -> str:
    """How this shell calls ``lorarack``: by its name where the name finds this very installation.

    The demo keeps everything in the home folder, whatever other registry the environment names.
    """
    elsewhere = "LORARACK_REGISTRY= " if os.environ.get("LORARACK_REGISTRY") else ""
    return f"{elsewhere}{_call('lorarack')}"


def python() -> str:
    """How this shell calls the Python that runs this."""
    return _call("python")


def _call(name: str) -> str:
    here = Path(sys.executable).with_name(name)
    found = shutil.which(name)
    if found and Path(found).absolute() == here.absolute():
        return name
    try:
        return str(here.relative_to(Path.cwd()))
    except ValueError:
        return str(here)


def left_behind(where: Places) -> Table:
    """Where everything lies."""
    lines = Table.grid(padding=(0, 2))
    for name, place in (
        ("base model", where.bases),
        ("registry", where.catalog),
        ("answers and scores", where.evaluation),
        ("files for the Hub", where.hub),
        ("server's log", where.server_log),
    ):
        lines.add_row(f"[dim]{name}[/dim]", escape(str(place)))
    return lines


def next_steps(adapter: str, base: str, system: str, question: str) -> list[tuple[str, str]]:
    """Commands to copy, each with what it does."""
    lorarack = command()
    messages = [{"role": "system", "content": system}, {"role": "user", "content": question}]
    body = json.dumps({"model": f"{adapter}@r4", "messages": messages}, ensure_ascii=False)
    said = json.dumps(messages, ensure_ascii=False)  # texts only, so it is Python as well
    client = 'OpenAI(base_url="http://127.0.0.1:8000/v1", api_key="none")'
    call = f'{client}.chat.completions.create(model="{adapter}", messages={said}, temperature=0)'
    program = f"from openai import OpenAI; print({call}.choices[0].message.content)"
    return [
        ("look around", f"{lorarack} list {adapter}"),
        ("why this one", f"{lorarack} alias history {adapter}"),
        ("serve again", f"{lorarack} serve {base} {shlex.join(SERVE_FLAGS)}"),
        ("ask it", f"{lorarack} ask {adapter} {shlex.quote(question)} --system {shlex.quote(system)}"),
        (
            "with curl",
            "curl http://127.0.0.1:8000/v1/chat/completions "
            f"-H 'content-type: application/json' -d {shlex.quote(body)}",
        ),
        ("with Python", f"{python()} -c {shlex.quote(program)}"),
        ("publish", push_command(adapter)),
    ]


def push_command(adapter: str) -> str:
    """The one command that publishes what was kept."""
    return f"{command()} push {adapter} YOUR-NAME/{adapter}"


def times(seconds: Mapping[str, float], total: float, memory: int) -> Table:
    """Seconds for each step and in all, and the peak of memory."""
    lines = table("step", ">seconds")
    for title, took in seconds.items():
        lines.add_row(escape(title), f"{took:.1f}")
    lines.add_section()
    lines.add_row("[bold]in all[/bold]", f"[bold]{total:.1f}[/bold]")
    lines.add_row("most memory at one time, all processes", size(memory))
    return lines
