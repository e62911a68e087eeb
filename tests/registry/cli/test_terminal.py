"""What strangers wrote never steers a terminal, wherever it is shown."""

import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table
from tests.command_line import lorarack
from tests.tiny import tiny_adapter

from lorarack.registry import Registry
from lorarack.registry.cli.terminal import TerminalConsole, visible, visible_json

#: Clears the screen, sets the title, C1's form of the same, overwrites the line, turns text round, hides it, smuggles tags.
HOSTILE = "a\x1b[2J\x1b]0;title\x07\x9b2Jb\rc\u202ed\u2066e\x7ff\u200bg\U000e0041h\u2028i"
SHOWN = r"a\x1b[2J\x1b]0;title\x07\x9b2Jb\rc\u202ed\u2066e\x7ff\u200bg\U000e0041h\u2028i"


def is_harmless(text: str) -> bool:
    return all(character in "\n\t" or visible(character) == character for character in text)


def test_what_acts_on_a_terminal_is_shown_as_an_escape() -> None:
    assert visible(HOSTILE) == SHOWN


@pytest.mark.parametrize("text", ["plain", "Ünïcödé – 模型", "two\nlines\tand a tab", "👩‍💻 می‌خواهم", "שלום"])
def test_what_people_write_stays_as_it_is(text: str) -> None:
    assert visible(text) == text
    assert visible_json(text) == text


@given(st.text() | st.text(alphabet="\x00\x1b\x7f\x9b\u202e\ufeff\U000e0041ab", max_size=8))
def test_json_stays_the_same_json(text: str) -> None:
    written = visible_json(json.dumps({text: text}, ensure_ascii=False))
    assert json.loads(written) == {text: text}
    assert is_harmless(written)


def test_a_console_shows_escapes_in_whatever_it_prints() -> None:
    """Also in a table's cells, whose own styles still come through."""
    written = io.StringIO()
    console = TerminalConsole(file=written, force_terminal=True, width=200, color_system="standard", highlight=False)
    table = Table("name")
    table.add_row(HOSTILE.replace("\u2028", ""))  # Rich takes that for the end of a line
    console.print(table)
    console.print(f"[bold]{HOSTILE.replace('[', chr(92) + '[')}[/bold]")
    assert "\x1b[1m" in written.getvalue(), "Rich's own styles are no text of strangers"
    ours = written.getvalue().replace("\x1b[1m", "").replace("\x1b[0m", "")
    assert r"a\x1b[2J\x1b]0;title\x9b2Jbc\u202ed\u2066e\x7ff\u200bg\U000e0041h" in ours, "Rich drops two by itself"
    assert ours.count(r"a\x1b[2J") == 2, "a cell is as wide as Rich took it for, and cut there"
    assert "\x1b" not in ours


@pytest.mark.parametrize("command", ["show", "list", "search", "tag", "diff", "lineage", "events", "archive"])
def test_no_command_passes_it_on(command: str, registry: Registry, tmp_path: Path) -> None:
    """In a description, a tag, a reason, an adapter's file."""
    folder = tiny_adapter(tmp_path / "in")
    (folder / f"{HOSTILE}.bin").write_bytes(b"")
    registry.publish(folder, "support", base="tiny", description=HOSTILE, tags={"k": HOSTILE})
    registry.publish(tiny_adapter(tmp_path / "other", seed=5), "support", base="tiny", description=HOSTILE)
    for alias in ("prod", "default"):
        registry.set_alias("support", alias, 2, reason=HOSTILE)
    words = {
        "show": ["show", "support@1"],
        "list": ["list", "support"],
        "search": ["search"],
        "tag": ["tag", "support@1", f"k={HOSTILE}"],
        "diff": ["diff", "support@1", "support@2"],
        "lineage": ["lineage", "support@1"],
        "events": ["events"],
        "archive": ["archive", "support@1", "--reason", HOSTILE],
    }
    for more in ([], ["--json"]):
        done = lorarack(*words[command], *more, "--registry", Path(registry.location))
        assert done.code == 0, done
        assert is_harmless(done.out), done.out
        assert is_harmless(done.err), done.err


def test_names_of_files_and_errors_are_shown_so_too(registry: Registry, tmp_path: Path) -> None:
    folder = tiny_adapter(tmp_path / "in")
    (folder / f"{HOSTILE}.bin").write_bytes(b"")
    (folder / HOSTILE).symlink_to("/nowhere")
    done = lorarack("publish", str(folder), "support", "--base", "tiny", "--registry", Path(registry.location))
    assert done.code == 1
    assert is_harmless(done.out + done.err)
