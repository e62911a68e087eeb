"""The demo's output: numbered steps with their results and times."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.padding import Padding

_INDENT = 6


class StepConsole:
    """Where the story is told; keeps the seconds of each step."""

    def __init__(self, console: Console, steps: int) -> None:
        self._console = console
        self._steps = steps
        self._start = time.monotonic()
        self.seconds: dict[str, float] = {}

    @property
    def total(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._start

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Announce a step; say at its end how long it took."""
        self._console.print(
            f"\n[bold cyan]\\[{len(self.seconds) + 1}/{self._steps}][/bold cyan] [bold]{escape(title)}[/bold]"
        )
        start = time.monotonic()
        yield
        self.seconds[title] = time.monotonic() - start
        self._console.print(f"{' ' * _INDENT}[dim]{self.seconds[title]:.1f} s[/dim]")

    def say(self, text: str) -> None:
        """One line that belongs to the present step."""
        self.show(escape(text))

    def show(self, what: RenderableType) -> None:
        """A table, or text with markup."""
        if isinstance(what, str):
            self._console.print(" " * _INDENT + what)
        else:  # the consoles of the command line never break lines; padding would cut what is too long
            self._console.print(Padding(what, (0, 0, 0, _INDENT), expand=False), soft_wrap=False)

    def copyable(self, commands: Iterable[tuple[str, str]]) -> None:
        """Commands with what each does; a command is one line however long it is."""
        for does, text in commands:
            self._console.print(f"[dim]{escape(does)}[/dim]\n  {escape(text)}", soft_wrap=True)
