"""Base models in the registry: one model has one name and any number of ids."""

import shutil
from pathlib import Path

import pytest
from tests.tiny import tiny_adapter, tiny_base

from lorarack.registry import Registry, open_registry
from lorarack.registry.errors import Conflict, InvalidArtifact, NotFound, UsageError


def test_a_base_is_known_by_name_folder_and_fingerprint(registry: Registry, base_folder: Path) -> None:
    base = registry.base("tiny")
    for ident in (
        base.name,
        base.fingerprint,
        str(base_folder),
        f"{base_folder}/",
        f"{base_folder}/../{base_folder.name}",
    ):
        assert registry.base(ident) == base
    assert (base.path, base.source, base.public_id) == (str(base_folder), str(base_folder), "tiny")


def test_a_relative_folder_and_a_link_are_the_folder(
    registry: Registry, base_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(base_folder)
    monkeypatch.chdir(base_folder.parent)
    assert registry.base(base_folder.name) == registry.base(str(tmp_path / "link")) == registry.base("tiny")


def test_the_same_model_elsewhere_is_the_same_base_with_one_more_id(
    registry: Registry, base_folder: Path, tmp_path: Path
) -> None:
    """So adapters trained on two copies of a model stand on one base, which is still loaded from where it was."""
    copy = tmp_path / "copy"
    shutil.copytree(base_folder, copy)
    said: list[str] = []
    again = registry.add_base(str(copy), say=said.append)
    assert (again.name, {known.value for known in again.ids}) == ("tiny", {str(base_folder), str(copy)})
    assert again.path == str(base_folder), "adding a copy re-points nothing"
    assert "--use" in said[0]
    assert registry.bases() == (again,)
    said.clear()
    assert registry.add_base(str(copy), use=True, say=said.append).path == str(copy)
    assert said == [f"Base 'tiny' is loaded from {str(copy)!r}."]
    assert len(registry.base("tiny").ids) == 2


def test_where_the_folder_is_gone_the_new_one_is_used(tmp_path: Path) -> None:
    said: list[str] = []
    with open_registry(tmp_path / "home") as registry:
        registry.add_base(str(tiny_base(tmp_path / "first")), "tiny")
        moved = (tmp_path / "first").rename(tmp_path / "moved")
        assert registry.add_base(str(moved), "tiny", say=said.append).path == str(moved)
    assert said == [f"Base 'tiny' is loaded from {str(moved)!r}."]


def test_another_name_for_a_known_base_is_refused(registry: Registry, base_folder: Path) -> None:
    with pytest.raises(Conflict, match="is known as base 'tiny'; leave --name out, or give --name tiny"):
        registry.add_base(str(base_folder), "other")
    assert registry.add_base(str(base_folder), "tiny").name == "tiny"


def test_another_model_of_the_same_shape_is_another_base(registry: Registry, tmp_path: Path) -> None:
    """What was trained on one of them is not published on the other by its shape alone, but by its name."""
    tuned = registry.add_base(str(tiny_base(tmp_path / "tuned", seed=1)), "tuned")
    assert tuned.fingerprint != registry.base("tiny").fingerprint
    assert tuned.modules == registry.base("tiny").modules
    assert [base.name for base in registry.bases()] == ["tiny", "tuned"]
    version = registry.publish(tiny_adapter(tmp_path / "a"), "support", base="tuned").version
    assert (version.base, version.base_fingerprint) == ("tuned", tuned.fingerprint)


def test_a_name_belongs_to_one_base(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(Conflict, match="'tiny' already belongs to a base model; choose another"):
        registry.add_base(str(tiny_base(tmp_path / "other", seed=1)), "tiny")
    assert len(registry.bases()) == 1


def test_without_a_name_the_folders_is_taken(tmp_path: Path) -> None:
    with open_registry(tmp_path / "home") as registry:
        assert registry.add_base(str(tiny_base(tmp_path / "Some Model-1.5B"))).name == "some-model-1.5b"
        with pytest.raises(UsageError, match="cannot be a name"):
            registry.add_base(str(tiny_base(tmp_path / "Ünï", seed=1)))


def test_what_is_no_base_is_refused(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidArtifact, match=r"no config\.json"):
        registry.add_base(str(tmp_path / "empty"), "empty")
    for source in (str(tmp_path / "nowhere"), "nowhere", "../a", "a/b/c", "~/x/y", "/a", "a/"):
        with pytest.raises(NotFound, match="neither a folder here nor a Hub id of the form ORG/REPO"):
            registry.add_base(source)
    assert [base.name for base in registry.bases()] == ["tiny"]
