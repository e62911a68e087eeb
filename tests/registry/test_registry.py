"""The operations on versions that are there: metrics, resolve, fetch, delete."""

import json
from pathlib import Path

import pytest
from tests.tiny import tiny_adapter, tiny_base

from lorarack.registry import Metric, Registry, open_registry
from lorarack.registry.errors import BadReference, Conflict, NotFound, StoreError, UsageError

LOSS = Metric(name="loss", split="validation", value=0.5)
POINT = Metric(name="loss", split="validation", value=0.9, step=10)


def publish(registry: Registry, folder: Path, name: str = "support", **about: object) -> str:
    return registry.publish(folder, name, base="tiny", **about).version.reference  # type: ignore[arg-type]


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


def test_a_chat_template_that_is_not_the_bases_is_said_to_be_applied(tmp_path: Path) -> None:
    """Not where it differs in blanks at its ends only."""
    base = tiny_base(tmp_path / "base")
    (base / "chat_template.jinja").write_text("{{ messages }}\n")
    said = {}
    with open_registry(tmp_path / "home") as registry:
        registry.add_base(str(base), "templated")
        for number, template in enumerate(["{{ messages }}", "{{ messages }}\n\n", "{{ other }}"]):
            folder = tiny_adapter(tmp_path / f"own{number}", seed=number)
            (folder / "chat_template.jinja").write_text(template)
            notes = registry.publish(folder, f"own{number}", base="templated").notes
            said[template] = any("servers render its chats with its own" in note for note in notes)
    assert said == {"{{ messages }}": False, "{{ messages }}\n\n": False, "{{ other }}": True}


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
    with pytest.raises(Conflict, match="give another one"):
        registry.fetch("support", Path("."))
    assert list((tmp_path / "here").iterdir()) == []
    assert registry.fetch("support", Path("sub")) == Path("sub")


def test_a_failed_fetch_leaves_nothing(registry: Registry, adapter: Path, tmp_path: Path) -> None:
    version = registry.resolve(publish(registry, adapter))
    for name, fault in (("adapter_model.safetensors", "other bytes"), ("adapter_config.json", "is not at")):
        digest = next(file.digest for file in version.files if file.name == name).removeprefix("sha256:")
        blob = Path(registry.location) / "blobs" / "sha256" / digest[:2] / digest
        blob.unlink()
        if fault == "other bytes":
            blob.write_bytes(b"damage")
        with pytest.raises(StoreError, match=fault):
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
    with pytest.raises(UsageError, match="name the version itself: support@1"):
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
        assert Path(opened.location) == tmp_path / "home"
    monkeypatch.setenv("LORARACK_REGISTRY", str(tmp_path / "named"))
    with open_registry() as opened:
        assert Path(opened.location) == tmp_path / "named"
    with open_registry(tmp_path / "given") as opened:
        assert Path(opened.location) == tmp_path / "given"
