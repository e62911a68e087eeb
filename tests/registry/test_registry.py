"""The operations on versions: publish, resolve, fetch, delete."""

import json
from pathlib import Path

import pytest
from tests.tiny import change_config, tiny_adapter, tiny_base

from lorarack.registry import Dataset, Metric, Provenance, Registry, open_registry
from lorarack.registry.blobs import FolderBlobs
from lorarack.registry.errors import BadReference, Conflict, Damaged, InvalidArtifact, NotFound, StoreError, UsageError

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


# Publish


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
    assert registry.resolve("acme/support") == version


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
    before = sorted(registry.home.rglob("*"))
    with pytest.raises(InvalidArtifact, match="DoRA"):
        publish(registry, adapter)
    assert sorted(registry.home.rglob("*")) == before
    with pytest.raises(NotFound):
        registry.versions("support")


def test_a_folder_that_is_written_to_meanwhile_is_refused(
    registry: Registry, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was checked and what is stored must be the same bytes."""
    real = FolderBlobs.put_file

    def slow(self: FolderBlobs, source: Path) -> str:
        source.write_bytes(source.read_bytes() + b"more")
        return real(self, source)

    monkeypatch.setattr(FolderBlobs, "put_file", slow)
    with pytest.raises(Conflict, match="was written to while it was published; try again"):
        publish(registry, adapter)
    with pytest.raises(NotFound):
        registry.versions("support")


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
    with pytest.raises(Conflict, match="stands on base 'tiny', not on 'other'; publish under another name"):
        registry.publish(tiny_adapter(tmp_path / "b", seed=1), "support", base="other")


def test_an_adapter_and_a_base_cannot_share_a_name(registry: Registry, adapter: Path, tmp_path: Path) -> None:
    """Both are asked for by plain name."""
    with pytest.raises(Conflict, match="'tiny' already belongs to a base model"):
        publish(registry, adapter, "tiny")
    publish(registry, adapter, "support")
    with pytest.raises(Conflict, match="'support' already belongs to an adapter"):
        registry.add_base(str(tiny_base(tmp_path / "other", seed=1)), "support")


# Metrics


def test_metrics_can_be_added_and_are_not_doubled(registry: Registry, adapter: Path) -> None:
    publish(registry, adapter, metrics=[LOSS])
    exact = Metric(name="exact", split="test", value=0.9, higher_is_better=True)
    assert registry.add_metrics("support", [exact, LOSS, exact]).metrics == (LOSS, exact)
    assert registry.add_metrics("support@1", []).metrics == (LOSS, exact)
    with pytest.raises(NotFound):
        registry.add_metrics("support@2", [exact])


# Resolve


def test_every_kind_of_reference_finds_its_version(registry: Registry, tmp_path: Path) -> None:
    for seed, rank in enumerate((4, 16, 4)):
        publish(registry, tiny_adapter(tmp_path / f"{seed}", rank=rank, seed=seed))
    registry.set_alias("support", "prod", 2)
    digest = registry.resolve("support@3").digest
    found = {
        reference: registry.resolve(reference).number
        for reference in ("support", "support@2", "support@prod", "support@latest", "support@r4", "support@r16")
    }
    assert list(found.values()) == [1, 2, 2, 3, 3, 2]
    assert registry.resolve(f"support@{digest}").number == 3
    assert registry.resolve(f"support@{digest[:15]}").number == 3


def test_an_unknown_reference_offers_what_was_meant(registry: Registry, adapter: Path) -> None:
    publish(registry, adapter)
    registry.set_alias("support", "prod", 1)
    for reference, near in (
        ("suport", ("support",)),
        ("support@prd", ("support@prod",)),
        ("support@7", ("support@1",)),
    ):
        with pytest.raises(NotFound, match="Did you mean") as raised:
            registry.resolve(reference)
        assert raised.value.near == near
        assert raised.value.code == "unknown_reference"


@pytest.mark.parametrize("reference", ["", "Support", "a@", "a\x00b", "\udcff", "a" * 10_000, "support@sha256:zz"])
def test_what_is_no_reference_is_said_to_be_none(reference: str, registry: Registry) -> None:
    with pytest.raises(BadReference):
        registry.resolve(reference)


# Fetch


def test_a_fetched_folder_is_what_peft_wants(registry: Registry, adapter: Path, tmp_path: Path) -> None:
    """The same weights, and a configuration with the same meaning that names the base for everybody."""
    publish(registry, adapter)
    folder = registry.fetch("support", tmp_path / "new" / "folder")
    assert folder == tmp_path / "new" / "folder"
    assert sorted(path.name for path in folder.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    weights = "adapter_model.safetensors"
    assert (folder / weights).read_bytes() == (adapter / weights).read_bytes()
    fetched = json.loads((folder / "adapter_config.json").read_text())
    assert fetched["base_model_name_or_path"] == "tiny"
    given = json.loads((adapter / "adapter_config.json").read_text())
    assert fetched == given | {"base_model_name_or_path": "tiny", "target_modules": fetched["target_modules"]}
    assert sorted(fetched["target_modules"]) == sorted(given["target_modules"])


def test_a_chat_template_comes_along(registry: Registry, adapter: Path, tmp_path: Path) -> None:
    (adapter / "chat_template.jinja").write_text("{{ messages }}")
    publish(registry, adapter)
    assert (registry.fetch("support", tmp_path / "out") / "chat_template.jinja").read_text() == "{{ messages }}"


def test_an_empty_folder_may_be_filled_and_a_full_one_not(registry: Registry, adapter: Path, tmp_path: Path) -> None:
    publish(registry, adapter)
    (tmp_path / "empty").mkdir()
    registry.fetch("support", tmp_path / "empty")
    for place in (tmp_path / "empty", adapter / "adapter_config.json"):
        with pytest.raises(Conflict, match="exists and is not an empty folder; give another place"):
            registry.fetch("support", place)


def test_the_working_folder_cannot_be_replaced(
    registry: Registry, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shell would be left standing in a folder that is gone."""
    publish(registry, adapter)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(Conflict, match="give another place"):
        registry.fetch("support", Path("."))
    assert list((tmp_path / "here").iterdir()) == []
    assert registry.fetch("support", Path("sub")) == Path("sub")


def test_a_failed_fetch_leaves_nothing(registry: Registry, adapter: Path, tmp_path: Path) -> None:
    version = registry.resolve(publish(registry, adapter))
    for name, fault in (("adapter_model.safetensors", "other bytes"), ("adapter_config.json", "is missing")):
        digest = next(file.digest for file in version.files if file.name == name).removeprefix("sha256:")
        blob = registry.home / "blobs" / "sha256" / digest[:2] / digest
        blob.unlink()
        if fault == "other bytes":
            blob.write_bytes(b"damage")
        with pytest.raises(Damaged, match=fault):
            registry.fetch("support", tmp_path / "out")
        publish(registry, adapter)  # mends it
    with pytest.raises(StoreError):
        registry.fetch("support", adapter / "adapter_config.json" / "below-a-file")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter", "home"]


# Delete


def test_a_deleted_version_is_gone_and_its_numbers_never_come_again(registry: Registry, tmp_path: Path) -> None:
    """Neither the version's number nor its engine id: caches and logs may still hold them."""
    for seed in range(3):
        publish(registry, tiny_adapter(tmp_path / f"{seed}", seed=seed), metrics=[LOSS])
    gone = registry.delete("support@3")
    with pytest.raises(NotFound, match="nothing at '@3'"):
        registry.resolve("support@3")
    again = registry.publish(tmp_path / "2", "support", base="tiny").version
    assert again.digest == gone.digest
    assert again.number == 4
    assert again.engine_id > gone.engine_id
    assert again.metrics == ()


def test_a_version_under_an_alias_cannot_be_deleted(registry: Registry, adapter: Path, tmp_path: Path) -> None:
    publish(registry, adapter)
    with pytest.raises(Conflict, match="support@1 is named by alias default; move it first with 'lorarack alias set"):
        registry.delete("support@1")
    publish(registry, tiny_adapter(tmp_path / "b", seed=1))
    registry.set_alias("support", "default", 2)
    assert registry.delete("support@1").number == 1


@pytest.mark.parametrize("reference", ["support", "support@latest", "support@r4", "support@default"])
def test_a_reference_that_moves_deletes_nothing(reference: str, registry: Registry, adapter: Path) -> None:
    publish(registry, adapter)
    with pytest.raises(UsageError, match="Name the version itself to delete it: support@1"):
        registry.delete(reference)


def test_a_version_can_be_deleted_by_its_digest(registry: Registry, adapter: Path, tmp_path: Path) -> None:
    publish(registry, adapter)
    second = registry.publish(tiny_adapter(tmp_path / "b", seed=1), "support", base="tiny").version
    assert registry.delete(f"support@{second.digest}") == second


# Opening


def test_a_registry_can_be_used_again_after_it_was_closed(home: Path) -> None:
    registry = open_registry(home)
    registry.close()
    assert registry.adapters() == ()
    registry.close()


def test_a_url_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a URL; this version of lorarack opens folders only"):
        open_registry("https://registry.example/")


def test_the_place_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORARACK_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LORARACK_REGISTRY", raising=False)
    with open_registry() as opened:
        assert opened.home == tmp_path / "home"
    monkeypatch.setenv("LORARACK_REGISTRY", str(tmp_path / "named"))
    with open_registry() as opened:
        assert opened.home == tmp_path / "named"
    with open_registry(tmp_path / "given") as opened:
        assert opened.home == tmp_path / "given"
