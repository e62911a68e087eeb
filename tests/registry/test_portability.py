"""Export and import: what leaves one registry arrives in another as what it was, or not at all."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.command_line import lorarack
from tests.tiny import change_config, tiny_adapter, tiny_base, write_json

from lorarack.registry import Metric, Parent, Provenance, Registry, open_registry
from lorarack.registry.errors import Conflict, InvalidArtifact, NotFound

MANIFEST = "lorarack-export.json"
LOSS = Metric(name="loss", split="validation", value=0.5)
POINT = Metric(name="loss", split="validation", value=0.9, step=3)


@pytest.fixture
def full(registry: Registry, tmp_path: Path) -> Registry:
    """Two adapters, a gap in the numbers, a parent, an archived version, aliases, metrics, tags, provenance."""
    for seed in range(4):
        folder = tiny_adapter(tmp_path / "made" / str(seed), seed=seed, rank=4 + seed)
        (folder / "chat_template.jinja").write_text("{{ messages }}")
        registry.publish(folder, "acme/support", base="tiny", metrics=[LOSS, POINT], tags={"seed": str(seed)})
    registry.publish(
        tiny_adapter(tmp_path / "made" / "child", seed=9),
        "orders",
        base="tiny",
        description="a child – ü",
        provenance=Provenance(recipe={"rate": 2e-4}, seed=7),
        parents=[Parent(version="acme/support@4", relation="resized")],
    )
    registry.set_alias("acme/support", "prod", 3)
    registry.delete("acme/support@2")
    registry.archive("acme/support@4", "no longer wanted")
    return registry


@pytest.fixture
def other(home_template: Path, tmp_path: Path) -> Iterator[Registry]:
    """Another registry that knows the base."""
    with open_registry(shutil.copytree(home_template, tmp_path / "other")) as opened:
        yield opened


def manifest(folder: Path) -> Any:
    return json.loads((folder / MANIFEST).read_text())


def everything(registry: Registry) -> list[Any]:
    """What a registry knows of its versions, less what is its own."""
    own = {"engine_id"}
    return [
        v.model_dump(exclude=own)
        for adapter in registry.adapters()
        for v in registry.versions(adapter.name, with_curves=True)
    ]


def test_a_whole_registry_goes_and_comes_back_equal(full: Registry, other: Registry, tmp_path: Path) -> None:
    done = full.export_to(tmp_path / "out")
    assert done.versions == ("acme/support@1", "acme/support@3", "acme/support@4", "orders@1")
    arrived = other.import_from(tmp_path / "out")
    assert [(v.was, v.created) for v in arrived.versions] == [(reference, True) for reference in done.versions]
    assert all(v.was == v.version for v in arrived.versions)
    assert arrived.notes == ()
    assert everything(other) == everything(full)
    other.export_to(tmp_path / "again")
    assert (tmp_path / "again" / MANIFEST).read_bytes() == (tmp_path / "out" / MANIFEST).read_bytes()
    assert tree(tmp_path / "again") == tree(tmp_path / "out")


def test_an_export_is_made_of_folders_as_fetch_writes_them(full: Registry, tmp_path: Path) -> None:
    full.export_to(tmp_path / "out", "acme/support")
    full.fetch("acme/support@3", tmp_path / "fetched")
    assert tree(tmp_path / "out" / "adapters" / "acme" / "support@3") == tree(tmp_path / "fetched")
    assert str(tmp_path) not in (tmp_path / "out" / MANIFEST).read_text(), "no path of this machine"


def test_numbers_of_an_import_are_not_used_again(full: Registry, other: Registry, tmp_path: Path) -> None:
    full.export_to(tmp_path / "out", "acme/support@prod")
    other.import_from(tmp_path / "out")
    assert other.resolve("acme/support").reference == "acme/support@3", "the first version is the default"
    assert other.resolve("acme/support@prod").number == 3
    assert other.publish(tiny_adapter(tmp_path / "new", seed=77), "acme/support", base="tiny").version.number == 4


def test_importing_twice_changes_nothing(full: Registry, other: Registry, tmp_path: Path) -> None:
    full.export_to(tmp_path / "out")
    other.import_from(tmp_path / "out")
    before, changes = everything(other), other.last_event_id()
    again = other.import_from(tmp_path / "out")
    assert not any(version.created for version in again.versions)
    assert (everything(other), other.last_event_id()) == (before, changes)


def test_a_number_that_was_used_here_is_not_used_again(full: Registry, other: Registry, tmp_path: Path) -> None:
    """What is here stays, with its aliases; what comes keeps a free number, else gets the next, and the report says so."""
    other.publish(tiny_adapter(tmp_path / "own", seed=50), "acme/support", base="tiny")
    other.publish(tmp_path / "made" / "3", "acme/support", base="tiny", tags={"seed": "mine"})
    full.export_to(tmp_path / "out")
    done = other.import_from(tmp_path / "out")
    assert [(v.was, v.version, v.created) for v in done.versions] == [
        ("acme/support@1", "acme/support@4", True),
        ("acme/support@3", "acme/support@3", True),
        ("acme/support@4", "acme/support@2", False),
        ("orders@1", "orders@1", True),
    ]
    assert "acme/support@1 is acme/support@4 here: its number was used here already." in done.notes
    assert "acme/support@4 is acme/support@2 here: that has the same files." in done.notes
    assert "acme/support@2 is ready here; its state was not changed." in done.notes
    assert "Alias acme/support@default names another version here and was left." in done.notes
    assert other.resolve("acme/support@2").tags == {"seed": "mine"}
    assert other.resolve("orders").parents == (Parent(version="acme/support@2", relation="resized"),)
    assert other.resolve("acme/support@prod").number == 3


def test_a_parent_that_stays_behind_is_said(full: Registry, other: Registry, tmp_path: Path) -> None:
    full.export_to(tmp_path / "out", "orders")
    assert other.import_from(tmp_path / "out").notes == ("1 of the parents of orders@1 are not here.",)


def test_what_is_quarantined_is_left_out(full: Registry, tmp_path: Path) -> None:
    full.quarantine("acme/support@3", "says rude things")
    done = full.export_to(tmp_path / "out", "acme/support")
    assert (done.versions, done.left_out) == (("acme/support@1", "acme/support@4"), ("acme/support@3",))
    assert manifest(tmp_path / "out")["adapters"][0]["aliases"] == {"default": 1}


def test_a_base_must_be_known(full: Registry, tmp_path: Path) -> None:
    full.export_to(tmp_path / "out")
    with open_registry(tmp_path / "empty") as empty, pytest.raises(NotFound, match="'lorarack base add FOLDER-OR-ID'"):
        empty.import_from(tmp_path / "out")


def test_an_adapter_stays_on_its_base(full: Registry, other: Registry, tmp_path: Path) -> None:
    other.add_base(str(tiny_base(tmp_path / "wide", seed=5)), "wide")
    other.publish(tiny_adapter(tmp_path / "own"), "orders", base="wide")
    full.export_to(tmp_path / "out")
    before = everything(other)
    with pytest.raises(Conflict, match="is for base 'wide'"):
        other.import_from(tmp_path / "out")
    assert everything(other) == before


def tree(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


# Exports that somebody has been at


def edit(change: Callable[[Any], object]) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        data = manifest(folder)
        change(data)
        write_json(folder / MANIFEST, data)

    return spoil


def rename_adapter(name: str) -> Callable[[Path], object]:
    def change(data: Any) -> None:
        data["adapters"][-1]["name"] = name
        data["versions"][-1]["adapter"] = name

    return edit(change)


def swap_weights(folder: Path) -> None:
    """Good files, but other ones than were exported."""
    shutil.rmtree(folder / "adapters" / "orders@1")
    tiny_adapter(folder / "adapters" / "orders@1", seed=123)


def link_folder(folder: Path) -> None:
    (folder / "adapters" / "orders@1").rename(folder / "moved")
    (folder / "adapters" / "orders@1").symlink_to(folder / "moved")


def link_file(folder: Path) -> None:
    path = folder / "adapters" / "orders@1" / "adapter_config.json"
    path.rename(folder / "moved.json")
    path.symlink_to(folder / "moved.json")


def link_manifest(folder: Path) -> None:
    (folder / MANIFEST).rename(folder / "moved.json")
    (folder / MANIFEST).symlink_to("moved.json")


SPOILED: dict[str, tuple[Callable[[Path], object], str]] = {
    "a name that climbs": (rename_adapter("../../up"), "cannot be a name"),
    "a name with three parts": (rename_adapter("a/b/c"), "cannot be a name"),
    "an absolute name": (rename_adapter("/etc"), "cannot be a name"),
    "an alias that is no alias": (edit(lambda d: d["adapters"][0]["aliases"].update(latest=1)), "cannot be an alias"),
    "an alias to nothing": (edit(lambda d: d["adapters"][0]["aliases"].update(x=9)), "names version 9"),
    "another digest": (edit(lambda d: d["versions"][0].update(digest="sha256:" + "0" * 64)), "has other files than"),
    "a digest that is none": (edit(lambda d: d["versions"][0].update(digest="../x")), "versions.0.digest: String"),
    "another file digest": (edit(lambda d: d["versions"][0]["files"][0].update(digest="x")), "not what they are"),
    "another rank": (edit(lambda d: d["versions"][0].update(rank=64)), "not what they are"),
    "a number out of reach": (edit(lambda d: d["versions"][0].update(number=10**12)), "versions.0.number: Input"),
    "the same version twice": (edit(lambda d: d["versions"].append(d["versions"][0])), "acme/support@1 twice"),
    "a version of no adapter": (edit(lambda d: d["adapters"].pop()), "versions of adapter 'orders' and no entry"),
    "an adapter without base": (edit(lambda d: d["bases"].clear()), "does not name the base of"),
    "an unknown field": (edit(lambda d: d.update(extra=1)), "extra: Extra inputs"),
    "a later format": (edit(lambda d: d.update(format="lorarack-export/2")), "format: Input should be"),
    "a time without zone": (edit(lambda d: d["versions"][0].update(created_at="2026-01-01")), "created_at: Input"),
    "half a character": (edit(lambda d: d["versions"][0].update(description="\ud800")), "not JSON in UTF-8"),
    "NaN": (edit(lambda d: d["versions"][0]["metrics"][0].update(value=float("nan"))), "not JSON in UTF-8"),
    "a missing folder": (lambda f: shutil.rmtree(f / "adapters" / "orders@1"), "has no folder 'adapters/orders@1'"),
    "other weights": (swap_weights, "orders@1 has other files than were exported"),
    "a changed configuration": (lambda f: change_config(f / "adapters" / "orders@1", lora_alpha=9), "has other files"),
    "an unserveable configuration": (lambda f: change_config(f / "adapters" / "orders@1", use_dora=True), "DoRA"),
    "a folder that is a link": (link_folder, "'adapters/orders@1' is a link"),
    "a file that is a link": (link_file, "is a link"),
    "a manifest that is a link": (link_manifest, "is a link, or larger"),
    "a manifest that is no JSON": (lambda f: (f / MANIFEST).write_bytes(b"{"), "not JSON in UTF-8"),
    "a manifest nested without end": (lambda f: (f / MANIFEST).write_bytes(b"[" * 10**6), "not JSON in UTF-8"),
    "a manifest that is a list": (lambda f: (f / MANIFEST).write_text("[]"), "all of it: Input should be"),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "said"), SPOILED.values(), ids=SPOILED)
def test_a_spoiled_export_is_refused_whole(
    spoil: Callable[[Path], object], said: str, full: Registry, other: Registry, tmp_path: Path
) -> None:
    full.export_to(tmp_path / "out")
    spoil(tmp_path / "out")
    before, files = other.last_event_id(), sorted(Path(other.location).rglob("*"))
    with pytest.raises(InvalidArtifact, match=r"The export '.*' cannot be imported") as refused:
        other.import_from(tmp_path / "out")
    assert said in str(refused.value)
    assert other.last_event_id() == before
    assert sorted(Path(other.location).rglob("*")) == files


# The commands


def test_the_commands(full: Registry, other: Registry, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = lorarack("export", "acme/support", out, "--registry", full.location, "--json").json()
    assert done == {
        "folder": str(out),
        "versions": ["acme/support@1", "acme/support@3", "acme/support@4"],
        "left_out": [],
    }
    answer = lorarack("import", out, "--registry", Path(other.location))
    assert (answer.code, answer.out) == (0, "Imported acme/support@1, acme/support@3, acme/support@4\n")
    assert lorarack("import", out, "--registry", Path(other.location)).out == "Nothing new; 3 there already\n"
    assert lorarack("export", tmp_path / "all", "--registry", full.location).out.startswith("Exported 4 versions to ")
