"""Publishing: what becomes a version, what is the same version, and what is refused."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.tiny import change_config, tiny_adapter, tiny_base

from lorarack.registry import Dataset, Metric, Provenance, Registry
from lorarack.registry.blobs.blob import Check, Source
from lorarack.registry.blobs.folder import FolderBlobs
from lorarack.registry.errors import Conflict, InvalidArtifact, NotFound, UsageError

LOSS = Metric(name="loss", split="validation", value=0.5)
POINT = Metric(name="loss", split="validation", value=0.9, step=10)
ABOUT = Provenance(
    recipe={"rank": 4, "targets": ["q_proj"], "nested": {"a": None}},
    datasets=(Dataset(split="train", name="orders", rows=240, digest="sha256:" + "1" * 64),),
    seed=7,
    versions={"peft": "0.21.2"},
    hardware="2 cores",
    wall_seconds=45.5,
)


def publish(registry: Registry, folder: Path, name: str = "support", **about: object) -> str:
    return registry.publish(folder, name, base="tiny", **about).version.reference  # type: ignore[arg-type]


def test_a_published_version_says_what_it_is(registry: Registry, adapter: Path) -> None:
    done = registry.publish(
        adapter,
        "acme/support",
        base="tiny",
        metrics=[LOSS, POINT],
        tags={"k": "v"},
        description="first",
        provenance=ABOUT,
    )
    version = done.version
    assert done.created
    assert (version.reference, version.rank, version.alpha, version.base) == ("acme/support@1", 4, 8.0, "tiny")
    assert version.base_fingerprint == registry.base("tiny").fingerprint
    assert version.metric("loss", "validation") == LOSS
    assert version.curve("loss", "validation") == (POINT,)
    assert (version.tags, version.description, version.provenance) == ({"k": "v"}, "first", ABOUT)
    assert version.aliases == ("default",)
    assert [file.name for file in version.files] == ["adapter_config.json", "adapter_model.safetensors"]
    assert registry.resolve("acme/support", with_curves=True) == version
    assert registry.resolve("acme/support").metrics == (LOSS,), "no look-up reads the points of curves"


def test_publishing_again_returns_the_version_and_adds_to_it(registry: Registry, adapter: Path) -> None:
    """Equal bytes are one version, whatever is said about it the second time; nothing said before is lost."""
    first = registry.publish(
        adapter, "support", base="tiny", metrics=[LOSS], tags={"a": "1", "b": "1"}, description="one"
    )
    better = LOSS.model_copy(update={"value": 0.4})
    again = registry.publish(adapter, "support", base="tiny", metrics=[LOSS, better], tags={"b": "2"})
    assert not again.created
    assert again.version.number == first.version.number
    assert again.version.metrics == (LOSS, better)
    assert again.version.metric("loss", "validation") == better
    assert (again.version.tags, again.version.description) == ({"a": "1", "b": "2"}, "one")
    assert registry.versions("support") == (again.version,)


def test_other_weights_are_another_version(registry: Registry, tmp_path: Path) -> None:
    references = [publish(registry, tiny_adapter(tmp_path / f"{seed}", seed=seed)) for seed in range(3)]
    assert references == ["support@1", "support@2", "support@3"]
    assert registry.resolve("support").number == 1, "default moves only on purpose"


def test_the_same_digest_under_another_adapter_is_its_own_version(registry: Registry, adapter: Path) -> None:
    publish(registry, adapter, "one", tags={"of": "one"})
    publish(registry, adapter, "two")
    one, two = registry.resolve("one"), registry.resolve("two")
    assert one.digest == two.digest
    assert one.engine_id != two.engine_id
    assert two.tags == {}
    assert one.files == two.files, "the stored files are shared"


def test_two_machines_give_one_digest(registry: Registry, adapter: Path, tmp_path: Path) -> None:
    """PEFT writes this machine's path to the base and lists modules in hash order: neither counts."""
    other = tiny_adapter(tmp_path / "elsewhere")
    change_config(
        other, base_model_name_or_path=str(tmp_path / "base"), revision="abc", target_modules=["v_proj", "q_proj"]
    )
    assert publish(registry, adapter) == publish(registry, other) == "support@1"


def test_a_version_that_was_fetched_publishes_as_itself(registry: Registry, adapter: Path, tmp_path: Path) -> None:
    """Out and back in, however often: one digest. So a trip to another machine or to the Hub does not make a new version."""
    change_config(adapter, rank_pattern={"self_attn.q_proj": 4, ".*proj": 4}, use_rslora=True)
    publish(registry, adapter)
    for trip in range(2):
        registry.fetch("support", tmp_path / f"trip{trip}")
        assert publish(registry, tmp_path / f"trip{trip}") == "support@1"


def test_a_refused_folder_leaves_nothing(registry: Registry, adapter: Path) -> None:
    change_config(adapter, use_dora=True)
    before = sorted(Path(registry.location).rglob("*"))
    with pytest.raises(InvalidArtifact, match="DoRA"):
        publish(registry, adapter)
    assert sorted(Path(registry.location).rglob("*")) == before
    with pytest.raises(NotFound):
        registry.versions("support")


def test_numbers_that_are_refused_leave_nothing(registry: Registry, adapter: Path) -> None:
    """They are looked at while the file is copied already."""
    weights = adapter / "adapter_model.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[:-4] + b"\x00\x00\xc0\x7f")  # the last number of float32 weights is NaN
    with pytest.raises(InvalidArtifact, match="holds NaN or infinity"):
        publish(registry, adapter)
    assert [path for path in (Path(registry.location) / "blobs").rglob("*") if path.is_file()] == []
    weights.write_bytes(data)
    assert publish(registry, adapter) == "support@1"


def before_copying(monkeypatch: pytest.MonkeyPatch, do: Callable[[], object]) -> None:
    """Let somebody who races with a publisher ``do`` something between the first look at the files and the copying."""
    real = FolderBlobs.put

    def raced(self: FolderBlobs, source: Source, check: Check | None = None) -> str:
        if check is not None:  # the weights, which are checked in their copy
            do()
        return real(self, source, check)

    monkeypatch.setattr(FolderBlobs, "put", raced)


def test_a_folder_that_is_written_to_meanwhile_is_refused(
    registry: Registry, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was checked and what is stored must be the same bytes."""
    weights = adapter / "adapter_model.safetensors"
    before_copying(monkeypatch, lambda: weights.write_bytes(weights.read_bytes() + b"more"))
    with pytest.raises(Conflict, match="changed during publish; retry once nothing is writing to it"):
        publish(registry, adapter)
    with pytest.raises(NotFound):
        registry.versions("support")


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_config.json", "chat_template.jinja"])
@pytest.mark.parametrize("how", ["link", "other file"])
def test_a_file_that_is_exchanged_meanwhile_is_not_stored(
    name: str, how: str, registry: Registry, adapter: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each file is opened once: neither a link's target nor another file under the old name is read."""
    (adapter / "chat_template.jinja").write_text("{{ messages }}")
    secret = tmp_path / "secret"
    secret.write_bytes(b"nobody else's business" * 1000)
    was = {path.name: path.read_bytes() for path in adapter.iterdir()}

    def exchange() -> None:
        (adapter / name).unlink()
        if how == "link":
            (adapter / name).symlink_to(secret)
        else:
            (adapter / name).write_bytes(secret.read_bytes())

    before_copying(monkeypatch, exchange)
    fetched = registry.fetch(publish(registry, adapter), tmp_path / "back")
    for file in ("adapter_model.safetensors", "chat_template.jinja"):
        assert (fetched / file).read_bytes() == was[file]
    back, there = (
        json.loads(text) for text in ((fetched / "adapter_config.json").read_bytes(), was["adapter_config.json"])
    )
    assert {**back, "base_model_name_or_path": ""} == {**there, "base_model_name_or_path": ""}


def test_numbers_are_looked_at_in_the_copy_that_is_stored(
    registry: Registry, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NaN written into the open file, its size and time put back as they were: what was looked at before does not count."""
    weights = adapter / "adapter_model.safetensors"
    times = weights.stat()

    def overwrite() -> None:
        with weights.open("r+b") as file:
            file.seek(-4, os.SEEK_END)
            file.write(b"\x00\x00\xc0\x7f")
        os.utime(weights, ns=(times.st_atime_ns, times.st_mtime_ns))

    before_copying(monkeypatch, overwrite)
    with pytest.raises(InvalidArtifact, match="holds NaN or infinity"):
        publish(registry, adapter)
    assert [path for path in (Path(registry.location) / "blobs").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("name", ["Support", "a/b/c", "../up", "", "a@1", "a b"])
def test_a_bad_name_is_refused(name: str, registry: Registry, adapter: Path) -> None:
    with pytest.raises(UsageError, match="cannot be a name"):
        publish(registry, adapter, name)


@pytest.mark.parametrize("about", [{"tags": {"k": "\udcff"}}, {"tags": {"\udcff": "v"}}, {"description": "\udcff"}])
def test_text_that_could_not_be_given_back_is_refused(
    about: dict[str, object], registry: Registry, adapter: Path
) -> None:
    """The command line hands over such text where a terminal writes another encoding."""
    with pytest.raises(UsageError, match=r"'.udcff' is not valid UTF-8"):
        publish(registry, adapter, **about)  # type: ignore[arg-type]


@pytest.mark.parametrize("base", ["\x00", "~nobody-of-this-name", "n" * 5000, "", "../..", "\udcff"])
def test_whatever_is_no_base_is_not_found(base: str, registry: Registry, adapter: Path) -> None:
    with pytest.raises(NotFound, match="no base model"):
        registry.publish(adapter, "support", base=base)
    with pytest.raises((NotFound, UsageError, InvalidArtifact)):
        registry.add_base(base)


def test_an_unknown_base_is_refused_with_what_to_do(registry: Registry, adapter: Path) -> None:
    with pytest.raises(NotFound, match=r"no base model 'other' \(known: 'tiny'\); add one with 'lorarack base add"):
        registry.publish(adapter, "support", base="other")


def test_an_adapter_stays_on_its_base(registry: Registry, adapter: Path, tmp_path: Path) -> None:
    publish(registry, adapter)
    registry.add_base(str(tiny_base(tmp_path / "other", seed=1)), "other")
    with pytest.raises(Conflict, match="is for base 'tiny', not for 'other': the second has the same shapes"):
        registry.publish(tiny_adapter(tmp_path / "b", seed=1), "support", base="other")


def test_an_adapter_and_a_base_cannot_share_a_name(registry: Registry, adapter: Path, tmp_path: Path) -> None:
    """Both are asked for by plain name."""
    with pytest.raises(Conflict, match="'tiny' already belongs to a base model"):
        publish(registry, adapter, "tiny")
    publish(registry, adapter, "support")
    with pytest.raises(Conflict, match="'support' already belongs to an adapter"):
        registry.add_base(str(tiny_base(tmp_path / "other", seed=1)), "support")
