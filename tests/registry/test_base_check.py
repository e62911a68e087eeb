"""Whether a base's files still are the base, and bases of 0.1.0 after the upgrade."""

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from tests.tiny import BASE_CONFIG, base_tensors, tiny_adapter, tiny_base, write_json, write_safetensors

from lorarack.registry import Registry, open_registry
from lorarack.registry.errors import Conflict, NotFound

VLLM_LORA = Path(__file__).parents[2] / "scripts" / "vllm_lora.py"
YARN = {"rope_parameters": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORARACK_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def registry(home: Path, tmp_path: Path) -> Registry:
    opened = open_registry(home)
    opened.add_base(str(tiny_base(tmp_path / "base")), "mine")
    return opened


def without_fingerprints(home: Path) -> None:
    """As an upgrade from 0.1.0 leaves a base: it is known by a sample only."""
    with sqlite3.connect(home / "catalog.sqlite") as database:
        database.execute("UPDATE bases SET fingerprint = sampled, fingerprints = '[]', config = NULL, template = NULL")


@pytest.mark.parametrize("full", [False, True])
def test_files_as_they_were_pass(registry: Registry, tmp_path: Path, full: bool) -> None:
    checked = registry.check_base("mine", full=full)
    assert (checked.source, checked.revision, checked.notes) == (str(tmp_path / "base"), None, ())


def test_a_configuration_that_was_edited_is_noticed_at_once(registry: Registry, tmp_path: Path) -> None:
    write_json(tmp_path / "base" / "config.json", BASE_CONFIG | YARN)
    with pytest.raises(
        Conflict, match=r"no longer base 'mine'.*rope\.rope_type yarn in place of the default"
    ) as raised:
        registry.check_base("mine")
    assert raised.value.code == "base_changed"


def test_one_overwritten_tensor_is_found_by_the_full_look(registry: Registry, tmp_path: Path) -> None:
    tensors = base_tensors()
    tensors["model.embed_tokens.weight"][40, 3] += 1
    write_safetensors(tmp_path / "base" / "model.safetensors", tensors)
    with pytest.raises(Conflict, match="other weights"):
        registry.check_base("mine", full=True)


def test_another_template_is_said(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "base" / "chat_template.jinja").write_text("{{ messages }}")
    assert "chat template" in registry.check_base("mine").notes[0]


def test_a_folder_that_is_gone(registry: Registry, tmp_path: Path) -> None:
    shutil.copytree(tmp_path / "base", tmp_path / "copy")
    registry.add_base(str(tmp_path / "copy"))
    shutil.rmtree(tmp_path / "base")
    checked = registry.check_base("mine", full=True)
    assert (checked.source, checked.base.source) == (str(tmp_path / "copy"), str(tmp_path / "copy"))
    assert "is gone" in checked.notes[0]
    shutil.rmtree(tmp_path / "copy")
    with pytest.raises(NotFound, match="lorarack base add FOLDER --name mine"):
        registry.check_base("mine")


def test_other_files_in_a_bases_folder_are_another_base(registry: Registry, tmp_path: Path) -> None:
    """And the first one is no longer known to be there."""
    write_json(tmp_path / "base" / "config.json", BASE_CONFIG | YARN)
    said: list[str] = []
    assert registry.add_base(str(tmp_path / "base"), "long", say=said.append).name == "long"
    assert "held base 'mine' before" in said[0]
    assert registry.base("mine").path is None


def test_a_copied_home_finds_the_bases_inside_it(home: Path, tmp_path: Path) -> None:
    with open_registry(home) as registry:
        registry.add_base(str(tiny_base(home / "bases" / "mine")), "mine")
    home.rename(tmp_path / "moved")
    with open_registry(tmp_path / "moved") as registry:
        assert registry.base("mine").path == str(tmp_path / "moved" / "bases" / "mine")
        assert registry.check_base("mine", full=True).source == str(tmp_path / "moved" / "bases" / "mine")


def test_a_name_means_one_thing_wherever_the_command_runs(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.add_base(str(tiny_base(tmp_path / "elsewhere" / "other", seed=1)), "base")
    monkeypatch.chdir(tmp_path)  # where a folder called `base` holds the base `mine`
    assert registry.base("base").name == "base"
    assert registry.base("./base").name == "mine"
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert registry.base("base").name == "base"
    assert registry.base("other").name == "base", "a folder where no base has the name"


def test_a_base_of_0_1_0_is_read_again_from_its_own_files(registry: Registry, home: Path, tmp_path: Path) -> None:
    """Also where a copy with another configuration, which 0.1.0 took for the same, is added first."""
    registry.publish(tiny_adapter(tmp_path / "a"), "support", base="mine")
    shutil.copytree(tmp_path / "base", tmp_path / "yarn")
    write_json(tmp_path / "yarn" / "config.json", BASE_CONFIG | YARN)
    without_fingerprints(home)
    with sqlite3.connect(home / "catalog.sqlite") as database:
        database.execute("INSERT INTO base_ids (base_id, kind, value) VALUES (1, 'path', ?)", (str(tmp_path / "yarn"),))
    said: list[str] = []
    with open_registry(home) as opened:
        assert opened.base("mine").path == str(tmp_path / "yarn"), "as 0.1.0 left it"
        assert opened.add_base(str(tmp_path / "yarn"), "long", say=said.append).name == "long"
        mine = opened.base("mine")
        assert (mine.path, len(mine.fingerprints)) == (str(tmp_path / "base"), 2)
        assert opened.resolve("support").base_fingerprint == mine.fingerprint
    assert any("holds another model than base 'mine'" in line for line in said)


def test_the_full_look_gives_a_base_of_0_1_0_its_fingerprints(registry: Registry, home: Path) -> None:
    new = registry.base("mine").fingerprint
    without_fingerprints(home)
    with open_registry(home) as opened:
        before = opened.snapshot()
        assert opened.check_base("mine").base.fingerprints == ()
        assert opened.check_base("mine", full=True).base.fingerprint == new
        assert opened.base("mine").fingerprint == new
        assert opened.snapshot(before).bases["mine"].fingerprint == new


def test_a_base_that_vllm_serves_without_lora_is_told_for_that_reason(home: Path, tmp_path: Path) -> None:
    folder = tiny_base(tmp_path / "neox")
    write_json(folder / "config.json", BASE_CONFIG | {"architectures": ["GPTJForCausalLM"]})
    said: list[str] = []
    with open_registry(home) as registry:
        registry.add_base(str(folder), say=said.append)
        assert "GPTJForCausalLM without LoRA" in said[0]
        with pytest.raises(Conflict, match=r"vLLM .* serves GPTJForCausalLM without LoRA") as raised:
            registry.publish(tiny_adapter(tmp_path / "a"), "support", base="neox")
    assert raised.value.code == "no_lora"


@pytest.mark.torch
def test_which_architectures_take_no_lora_is_what_the_installed_vllm_says() -> None:
    """After an upgrade of vLLM: run scripts/vllm_lora.py. In a process of its own, for its imports warn."""
    pytest.importorskip("vllm")
    done = subprocess.run([sys.executable, VLLM_LORA, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
