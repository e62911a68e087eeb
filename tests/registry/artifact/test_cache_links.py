"""The Hub's cache holds links into its own ``blobs``; these publish, and no other link does."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.registry.artifacts import read_artifact
from tests.tiny import tiny_adapter

from lorarack.registry import Base
from lorarack.registry.errors import InvalidArtifact

FILES = ("adapter_config.json", "adapter_model.safetensors", "README.md")


def cached(root: Path, below: str = "") -> Path:
    """A snapshot as huggingface_hub writes it; ``below``: the adapter lies in a folder of the repository."""
    repository = root / "models--acme--orders-lora"
    source = tiny_adapter(root / "source")
    folder = repository / "snapshots" / ("1" * 40) / below
    folder.mkdir(parents=True)
    (repository / "blobs").mkdir()
    for name in FILES:
        blob = repository / "blobs" / f"{hash(name) & 0xFFFF:040x}"
        (source / name).rename(blob)
        (folder / name).symlink_to(os.path.relpath(blob, folder))
    return folder


@pytest.mark.parametrize("below", ["", "finance", "runs/checkpoint-20"])
def test_links_into_the_repositorys_own_blobs_publish(below: str, tmp_path: Path, base: Base) -> None:
    assert read_artifact(cached(tmp_path, below), base).rank == 4


def test_the_cache_may_itself_lie_behind_a_link(tmp_path: Path, base: Base) -> None:
    """~/.cache often does."""
    folder = cached(tmp_path / "disk")
    (tmp_path / "cache").symlink_to(tmp_path / "disk")
    assert read_artifact(tmp_path / "cache" / folder.relative_to(tmp_path / "disk"), base).rank == 4


def test_absolute_links_into_it_publish(tmp_path: Path, base: Base) -> None:
    folder = cached(tmp_path)
    for name in FILES:
        blob = (folder / name).resolve()
        (folder / name).unlink()
        (folder / name).symlink_to(blob)
    assert read_artifact(folder, base).rank == 4


def repository_of(folder: Path) -> Path:
    return next(parent for parent in folder.parents if parent.name.startswith("models--"))


def relinked(name: str, target: Callable[[Path], Path | str]) -> Callable[[Path], None]:
    def work(folder: Path) -> None:
        to = target(folder)
        (folder / name).unlink()
        (folder / name).symlink_to(to)

    return work


def outside(folder: Path) -> Path:
    """The same file, behind the repository's back."""
    place = repository_of(folder).parent / "secret"
    place.write_bytes((folder / "adapter_model.safetensors").read_bytes())
    return place


def linked_blob(folder: Path) -> str:
    (repository_of(folder) / "blobs" / "beef").symlink_to(outside(folder))
    return "../../blobs/beef"


def linked_blobs(folder: Path) -> str:
    blobs = repository_of(folder) / "blobs"
    blobs.rename(repository_of(folder).parent / "elsewhere")
    blobs.symlink_to("../elsewhere")
    return os.readlink(folder / "adapter_model.safetensors")


WEIGHTS = "adapter_model.safetensors"
ESCAPES: dict[str, Callable[[Path], None]] = {
    "out of the repository": relinked(WEIGHTS, outside),
    "out of it by dots": relinked(WEIGHTS, lambda folder: f"../../blobs/../../{outside(folder).name}"),
    "a blob that is a link": relinked(WEIGHTS, linked_blob),
    "blobs that are a link": relinked(WEIGHTS, linked_blobs),
    "the repository's own refs": relinked(WEIGHTS, lambda folder: "../../refs/main"),
    "another repository's blobs": relinked(
        WEIGHTS, lambda folder: f"../../../models--x--y/blobs/{(folder / WEIGHTS).resolve().name}"
    ),
    "a snapshot's file": relinked(WEIGHTS, lambda folder: "../2/x"),
    "the blobs themselves": relinked(WEIGHTS, lambda folder: "../../blobs"),
    "a file of no interest": relinked("README.md", outside),
}


@pytest.mark.parametrize("escape", ESCAPES.values(), ids=ESCAPES)
def test_any_other_link_is_refused_in_one_true_sentence(
    escape: Callable[[Path], None], tmp_path: Path, base: Base
) -> None:
    folder = cached(tmp_path)
    escape(folder)
    with pytest.raises(InvalidArtifact) as raised:
        read_artifact(folder, base)
    assert raised.value.problems
    for problem in raised.value.problems:
        assert "is a link; copy the file it points to into the folder" in problem


def test_a_blob_that_is_gone_is_named(tmp_path: Path, base: Base) -> None:
    folder = cached(tmp_path)
    (folder / WEIGHTS).resolve().unlink()
    with pytest.raises(
        InvalidArtifact, match="a link to a blob that the cache does not hold; download the repository again"
    ):
        read_artifact(folder, base)


def test_links_elsewhere_that_look_like_it_are_refused(adapter: Path, base: Base, tmp_path: Path) -> None:
    """``../../blobs`` counts only in a snapshot."""
    (tmp_path / "blobs").mkdir()
    (adapter / WEIGHTS).rename(tmp_path / "blobs" / "x")
    (adapter / WEIGHTS).symlink_to("../blobs/x")
    with pytest.raises(InvalidArtifact, match="is a link"):
        read_artifact(adapter, base)
