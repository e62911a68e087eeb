"""How many files of the registry one call runs through: who follows a call in the code opens each of them."""

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from tests.tiny import tiny_adapter

from lorarack.registry import Query, Registry, open_registry

_ROOT = "lorarack/registry/"


def entered(call: Callable[[], object]) -> list[str]:
    """The registry's files with a function that ran during ``call``, in any thread; imports do not count."""
    files: set[str] = set()

    def look(frame: FrameType, _event: str, _arg: Any) -> None:
        _, root, file = frame.f_code.co_filename.rpartition(_ROOT)
        if root and frame.f_code.co_name not in ("<module>", "__getattr__"):
            files.add(file)

    before = sys.getprofile()
    threading.setprofile(look)
    sys.setprofile(look)
    try:
        call()
    finally:
        sys.setprofile(before)
        threading.setprofile(before)
    return sorted(files)


@pytest.mark.parametrize(
    ("what", "at_most"), [("publish", 21), ("resolve", 8), ("fetch", 18), ("search", 11), ("import", 25)]
)
def test_a_call_runs_through_few_files(
    what: str, at_most: int, registry: Registry, base_folder: Path, tmp_path: Path
) -> None:
    """The numbers are what was reached: lower them with the code, and raise none without a reason."""
    registry.publish(tiny_adapter(tmp_path / "first", seed=1), "first", base="tiny")  # what is built once is built now
    registry.fetch("first@1", tmp_path / "fetched-first")
    folder = tiny_adapter(tmp_path / "adapter", seed=2)
    calls: dict[str, Callable[[], object]] = {
        "publish": lambda: registry.publish(folder, "support", base="tiny"),
        "resolve": lambda: registry.resolve("first@1"),
        "fetch": lambda: registry.fetch("first@1", tmp_path / "fetched"),
        "search": lambda: registry.search(Query(text="fir")),
    }
    if what == "import":
        registry.export_to(tmp_path / "export", "first")
        with open_registry(tmp_path / "other") as other:
            other.add_base(str(base_folder), "tiny")
            files = entered(lambda: other.import_from(tmp_path / "export"))
    else:
        files = entered(calls[what])
    assert len(files) <= at_most, f"{what} runs through {len(files)} files: {', '.join(files)}"
    assert len(files) == at_most, f"{what} runs through {len(files)} files only; write that number here"
