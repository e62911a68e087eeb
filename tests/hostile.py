"""Values that no command expects, and a world to try them in: walked over every command and each of its parameters."""

import io
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import typer
from tests.bad_input.world import make_world
from tests.command_line import Answer
from tests.tiny import tiny_adapter, tiny_base

from lorarack.registry import open_registry
from lorarack.registry.cli.app import build_app
from lorarack.registry.cli.main import main

#: Texts for any parameter. Python hands bytes that are no UTF-8 to a program as lone surrogates.
TEXTS = {
    "empty": "",
    "blank": " ",
    "NUL": "a\0b",
    "lone surrogate": "\ud83d",
    "no UTF-8": os.fsdecode(b"caf\xe9"),
    "nobody's home": "~nobody-of-that-name",
    "below nobody's home": "~nobody-of-that-name/x",
    "long": "x" * 5000,
    "longer than a name": "x" * 300,
    "line ends": "a\nb\r\nc",
    "markup": "[bold]x[/nope]",
    "escape": "\x1b[31m",
    "parents": "../../x",
    "year 1": "0001-01-01T00:00:00+23:59",
    "year 9999": "9999-12-31T23:59:59-23:59",
    "no date": "2026-13-99",
    "days ago": "999999d",
    "minus": "-1",
    "huge": "9" * 40,
    "more digits than Python reads": "9" * 5000,
    "infinite": "inf",
    "not a number": "nan",
    "tiny": "1e-400",
    "address": "http://[",
    "reference": "support@99999999999999999999",
    "metric": "eval_loss=1e999",
    "JSON": "{}",
    "range": "9..1",
    "at": "@",
    "digest": "support@sha256:" + "0" * 5000,
}


@dataclass(frozen=True)
class Playground:
    """A world with paths that are not what a parameter wants, and good values for everything else."""

    root: Path

    def paths(self) -> dict[str, str]:
        """What is there instead of the file or folder that is wanted."""
        return {name: str(self.root / "odd" / name) for name in sorted(os.listdir(self.root / "odd"))}

    def good(self, command: str, parameter: str) -> list[str]:
        """A value that lets the command come to its other parameters; none of them lets it do anything long."""
        root = str(self.root)
        table = {
            "folder": [f"{root}/adapter"] if command == "publish" else [f"{root}/out"],
            "base": ["gone"] if command == "serve" else ["tiny"],
            "reference": ["support@1"],
            "references": ["support@1", "support@2"],
            "a": ["support@1"],
            "b": ["support@2"],
            "alias": ["prod"] if command == "promote" else ["support@prod"],
            "version": ["1"],
            "what": ["fresh"] if command == "train" else ["support"],
            "data": [f"{root}/rows.jsonl"],
            "validation": [f"{root}/rows.jsonl"],  # the rows to train on: refused last of all
            "url": ["http://127.0.0.1:9"],
            "repository": ["someone/nothing"],
            "source": [f"{root}/tiny-base"],
            "original": ["tiny"],
            "relation": ["quantized"],
            "metric": ["eval_loss"],
            "reason": ["a reason"],
            "prompt": ["hi"],
        }
        return table.get(parameter, ["support"])


def make_playground(root: Path) -> Playground:
    """Everything of ``make_world``, a second version, a base whose files are gone, and odd things in ``odd/``."""
    make_world(root)
    with open_registry(root / "home") as registry:
        registry.publish(tiny_adapter(root / "second", 2), "support", base="tiny")
        gone = tiny_base(root / "gone", seed=5)
        registry.add_base(str(gone), "gone")
    shutil.rmtree(gone)
    (root / "rows.jsonl").write_text('{"prompt": "a", "completion": "b"}\n{"prompt": "c", "completion": "d"}\n')
    odd = root / "odd"
    odd.mkdir()
    (odd / "a folder").mkdir()
    (odd / "an empty file").touch()
    (odd / "bytes").write_bytes(bytes(range(256)))
    (odd / "link loop").symlink_to(odd / "link loop")
    (odd / "dangling link").symlink_to("nowhere")
    os.mkfifo(odd / "pipe")
    (odd / "zeros").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(odd / "socket"))
    (odd / "below a file").symlink_to("bytes/x")
    for kind in ("folder", "bytes", "pipe", "loop"):
        place = odd / f"registry of a {kind}"
        place.mkdir()
        catalog = place / "catalog.sqlite"
        match kind:
            case "folder":
                catalog.mkdir()
            case "bytes":
                catalog.write_bytes(bytes(range(256)) * 8)
            case "pipe":
                os.mkfifo(catalog)
            case "loop":
                catalog.symlink_to(catalog)
    return Playground(root)


@dataclass(frozen=True)
class Command:
    """A command of the application, as Typer knows it."""

    name: str
    parameters: tuple[Any, ...]

    def line(self, playground: Playground, parameter: Any, value: str) -> list[str]:
        """The command with ``value`` for ``parameter`` and good values for all that it needs, and for what keeps it short."""
        words: list[str] = []
        last: list[str] = []
        for other in self.parameters:
            values = [value] if other.name == parameter.name else playground.good(self.name, other.name)
            if other.param_type_name == "argument":
                if other.required or other.name == parameter.name:
                    last += values
            elif other.name == parameter.name or other.required or other.name in ("url", "data", "base", "validation"):
                words.append(f"{other.opts[0]}={values[0]}")
        return [*self.name.split(), *words, "--", *last]


def commands() -> Iterator[Command]:
    """Every command, with the parameters that take a value."""

    def walk(command: Any, words: tuple[str, ...]) -> Iterator[Command]:
        for name, below in getattr(command, "commands", {}).items():
            yield from walk(below, (*words, name))
        if not hasattr(command, "commands"):
            taken = tuple(one for one in command.params if not getattr(one, "is_flag", False) and one.name != "help")
            yield Command(" ".join(words), taken)

    yield from walk(typer.main.get_command(build_app()), ())


def run(arguments: list[str]) -> Answer:
    """``lorarack ARGUMENTS`` with the encodings of a real process: stdout is strict, stderr writes what it cannot encode."""
    out, err = (
        io.TextIOWrapper(io.BytesIO(), "utf-8"),
        io.TextIOWrapper(io.BytesIO(), "utf-8", errors="backslashreplace"),
    )
    with (
        redirect_stdout(out),
        redirect_stderr(err),
        patch.object(sys, "argv", ["lorarack", *arguments]),
        patch.object(sys, "stdin", io.StringIO("")),
    ):
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    texts = []
    for stream in (out, err):
        stream.flush()
        texts.append(stream.buffer.getvalue().decode())
    return Answer(code, *texts)
