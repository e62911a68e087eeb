"""Bad input to ``lorarack export`` and ``lorarack import``; tests/registry/test_portability.py has more spoiled exports."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bad_input.world import Case, World, command

from lorarack.registry import open_registry
from lorarack.registry.errors import Damaged


def exported(spoil: Callable[[Path], object] = lambda _: None) -> Callable[[World], None]:
    """Export everything to ``export``, then let ``spoil`` be at it."""

    def prepare(world: World) -> None:
        with open_registry(world.home) as registry:
            registry.export_to(world.root / "export")
        spoil(world.root / "export")

    return prepare


def editing(change: Callable[[Any], object]) -> Callable[[Path], None]:
    """Change the manifest."""

    def spoil(folder: Path) -> None:
        path = folder / "lorarack-export.json"
        data = json.loads(path.read_text())
        change(data)
        path.write_text(json.dumps(data))

    return spoil


def climbing(data: Any) -> None:
    data["adapters"][0]["name"] = data["versions"][0]["adapter"] = "../../up"


def damaged(world: World) -> None:
    """The only version's bytes have changed, and it is quarantined for it."""
    for path in (world.home / "blobs").rglob("*"):
        if path.is_file():
            path.chmod(0o644)
            path.write_bytes(b"not what was stored")
    with open_registry(world.home) as registry:
        try:
            registry.verify("support@1")
        except Damaged:
            return
    raise AssertionError("the damage was not seen")


def elsewhere(world: World) -> None:
    """An export, and a registry that does not know its base."""
    exported()(world)
    with open_registry(world.root / "other"):
        pass


def importing(world: World) -> list[object]:
    return ["import", world.root / "export"]


CASES = [
    Case("export into a full folder", lambda w: ["export", w.adapter], "is not an empty folder"),
    Case("export of no adapter", lambda w: ["export", "suport", w.root / "new"], "Did you mean 'support'?"),
    Case("export of no version", lambda w: ["export", "support@9", w.root / "new"], "nothing at '@9'"),
    Case("export of a path", lambda w: ["export", "../up", w.root / "new"], "cannot be a name", 2),
    Case("export of what is damaged", lambda w: ["export", w.root / "new"], "nothing to export", prepare=damaged),
    Case("import of no folder", command("import", "nowhere"), "There is no lorarack-export.json in 'nowhere'"),
    Case("import of a plain adapter", lambda w: ["import", w.adapter], "give a folder that 'lorarack export' wrote"),
    Case("import that climbs", importing, "'../../up' cannot be a name", prepare=exported(editing(climbing))),
    Case(
        "import of other bytes",
        importing,
        "support@1 has other files than were exported",
        prepare=exported(editing(lambda data: data["versions"][0].update(digest="sha256:" + "0" * 64))),
    ),
    Case(
        "import with a missing version",
        importing,
        "has no folder 'adapters/support@1'",
        prepare=exported(lambda folder: shutil.rmtree(folder / "adapters" / "support@1")),
    ),
    Case(
        "import of a later format",
        importing,
        "format: Input should be 'lorarack-export/1'",
        prepare=exported(editing(lambda data: data.update(format="lorarack-export/2"))),
    ),
    Case(
        "import onto an unknown base",
        lambda w: ["import", w.root / "export", "--registry", w.root / "other"],
        "The export's base 'tiny'",
        prepare=elsewhere,
    ),
]
