"""Whoever is killed while a folder is written leaves nothing for good, and nobody takes away what is being written."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.command_line import lorarack
from tests.tiny import tiny_adapter

from lorarack.registry import Registry
from lorarack.registry.blobs.staging import PREFIX, remove_leftovers, staging_folder

WRITER = """
import sys, time
from pathlib import Path
from lorarack.registry.blobs.staging import staging_folder
with staging_folder(Path(sys.argv[1])) as folder:
    (folder / "part").write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


def begin(place: Path) -> "subprocess.Popen[str]":
    """Another process that writes to ``place`` and does not come to its end."""
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(place)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "writing\n"
    return writer


def staged(parent: Path) -> list[Path]:
    return sorted(parent.glob(f"{PREFIX}*"))


def test_what_a_killed_writer_left_goes_with_the_next_and_a_live_ones_stays(
    registry: Registry, adapter: Path, tmp_path: Path
) -> None:
    registry.publish(adapter, "support", base="tiny")
    (tmp_path / "out").mkdir()
    dead, alive = begin(tmp_path / "out" / "dead"), begin(tmp_path / "out" / "alive")
    try:
        before = staged(tmp_path / "out")
        assert len(before) == 2
        dead.send_signal(signal.SIGKILL)
        dead.wait()
        registry.fetch("support", tmp_path / "out" / "fetched")
        (left,) = staged(tmp_path / "out")
        assert (left / "part").read_text() == "half"
        alive.kill()
        alive.wait()
        registry.export_to(tmp_path / "out" / "exported")
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["exported", "fetched"]
    finally:
        for writer in (dead, alive):
            writer.kill()
            writer.communicate()


def test_only_folders_of_ours_are_removed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine").write_text("kept")
    (tmp_path / f"{PREFIX}link").symlink_to(elsewhere)
    (tmp_path / f"{PREFIX}file").write_text("no folder")
    os.mkfifo(tmp_path / f"{PREFIX}pipe")
    (tmp_path / ".other-part").mkdir()
    with staging_folder(tmp_path / "place"):
        assert remove_leftovers(tmp_path) == 0  # and the pipe, which nobody writes to, is not waited for
    assert (elsewhere / "mine").read_text() == "kept"
    assert len(list(tmp_path.iterdir())) == 5


@pytest.mark.parametrize(
    "given",
    [["support"], ["support@1"], ["support@default"], ["support@sha256:abcdef12"], ["orders", "support"], ["acme/a"]],
)
def test_a_name_in_the_folders_place_is_no_folder(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: list[str]
) -> None:
    for place, name in enumerate(("support", "orders", "acme/a")):
        registry.publish(tiny_adapter(tmp_path / f"made-{place}", seed=place), name, base="tiny")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    answer = lorarack("export", *given, "--registry", Path(registry.location))
    assert (answer.code, answer.out) == (2, "")
    assert f"lorarack export {' '.join(given)} FOLDER" in " ".join(answer.err.split())
    assert list((tmp_path / "here").iterdir()) == []
    assert lorarack("export", f"./{given[-1]}", "--registry", Path(registry.location)).code == 0


def test_several_adapters_are_exported_at_once(registry: Registry, tmp_path: Path) -> None:
    for place, name in enumerate(("support", "orders", "acme/a")):
        registry.publish(tiny_adapter(tmp_path / f"made-{place}", seed=place), name, base="tiny")
    done = lorarack(
        "export", "orders", "support@1", "support", tmp_path / "out", "--json", "--registry", Path(registry.location)
    ).json()
    assert done["versions"] == ["support@1", "orders@1"]
