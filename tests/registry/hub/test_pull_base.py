"""Which base model a pulled adapter is published on."""

import json
from pathlib import Path

import pytest
from tests.hub_stand_in.hub import Hub
from tests.tiny import change_config, tiny_base, write_json

from lorarack.registry import Registry, open_registry
from lorarack.registry.errors import Conflict, InvalidArtifact, NotFound
from lorarack.registry.hub.pull import pull


def test_an_unknown_base_is_said_before_the_weights_are_downloaded(hub: Hub, theirs: Path, tmp_path: Path) -> None:
    with open_registry(tmp_path / "empty") as empty:
        with pytest.raises(NotFound, match=r"'acme/tiny-base'.*'lorarack base add acme/tiny-base'.*--base"):
            pull(empty, "stranger/theirs")
        assert empty.adapters() == ()
    assert hub.sent("adapter_model.safetensors") == 0


@pytest.mark.parametrize("named", [None, "", 7, "{folder}", "~nobody/base", "/\0", "x" * 5000])
def test_what_a_stranger_calls_the_base_is_not_looked_up_as_a_folder(
    hub: Hub, registry: Registry, theirs: Path, base_folder: Path, named: object
) -> None:
    """PEFT writes its own machine's path there; that the same path is a base here means nothing."""
    name = str(base_folder) if named == "{folder}" else named
    hub.seed("stranger/theirs", change_config(theirs, base_model_name_or_path=name))
    with pytest.raises(NotFound, match="--base"):
        pull(registry, "stranger/theirs")
    assert pull(registry, "stranger/theirs", base="tiny").published.created


def test_the_base_may_go_by_its_plain_name(hub: Hub, registry: Registry, theirs: Path) -> None:
    hub.seed("stranger/theirs", change_config(theirs, base_model_name_or_path="tiny"))
    assert pull(registry, "stranger/theirs").published.version.base == "tiny"


def test_the_wrong_base_is_refused(hub: Hub, elsewhere: Registry, theirs: Path, tmp_path: Path) -> None:
    """The shapes are checked against the base, not only the name."""
    other = tiny_base(tmp_path / "other-base")
    config = json.loads((other / "config.json").read_text())
    write_json(other / "config.json", config | {"vocab_size": 65})
    (other / "model.safetensors").write_bytes((theirs / "adapter_model.safetensors").read_bytes())
    elsewhere.add_base(str(other), "other")
    with pytest.raises(
        Conflict, match="was trained on base 'tiny', not on 'other': the second has 8 modules in place of 16"
    ):
        pull(elsewhere, "stranger/theirs", base="other")
    hub.seed("stranger/theirs", change_config(theirs, base_model_name_or_path="not/known"))
    with pytest.raises(InvalidArtifact, match="no module of base 'other'"):
        pull(elsewhere, "stranger/theirs", base="other")


def test_another_revision_of_the_base_is_noted(hub: Hub, elsewhere: Registry, theirs: Path) -> None:
    hub.seed("stranger/theirs", change_config(theirs, revision="f" * 40))
    (note,) = pull(elsewhere, "stranger/theirs").notes
    assert "trained on revision ffff" in note


def test_an_adapter_on_another_base_is_not_mixed(hub: Hub, elsewhere: Registry, theirs: Path, tmp_path: Path) -> None:
    elsewhere.add_base(str(tiny_base(tmp_path / "other-base", seed=1)), "other")
    named = json.loads((theirs / "adapter_config.json").read_text())["base_model_name_or_path"]
    hub.seed("stranger/theirs", change_config(theirs, base_model_name_or_path="not/known"))
    pull(elsewhere, "stranger/theirs", name="mine", base="other")
    hub.seed("stranger/theirs", change_config(theirs, base_model_name_or_path=named))
    with pytest.raises(Conflict, match="other"):
        pull(elsewhere, "stranger/theirs", name="mine")


@pytest.mark.parametrize("name", ["unsloth/llama-3-8b-bnb-4bit", "unsloth/Qwen3-4B-unsloth-bnb-4bit", "acme/Model-AWQ"])
def test_an_adapter_of_a_quantised_copy_is_told_the_way_to_both(
    name: str, hub: Hub, elsewhere: Registry, theirs: Path
) -> None:
    """Most adapters of the kind are served over the original, which the copy's name does not tell."""
    hub.seed("stranger/theirs", change_config(theirs, base_model_name_or_path=name))
    with pytest.raises(
        NotFound, match=r"quantized copy.*over the original.*--base.*over the copy.*base link"
    ) as raised:
        pull(elsewhere, "stranger/theirs")
    assert f"lorarack base add {name}" in str(raised.value)
    original = elsewhere.bases()[0].name
    assert pull(elsewhere, "stranger/theirs", base=original).published.created
