"""Adapters in folders of a repository, and addresses pasted from a browser."""

import shutil
from pathlib import Path

import pytest
from tests.hub_stand_in.hub import Hub
from tests.registry.hub.conftest import Command
from tests.tiny import change_config, tiny_adapter, write_json

from lorarack.registry import Registry
from lorarack.registry.errors import InvalidArtifact, NotFound, UsageError
from lorarack.registry.hub.pull import pull


@pytest.fixture
def several(hub: Hub, tmp_path: Path) -> Path:
    """A repository with checkpoints and no adapter at its top."""
    root = tmp_path / "several"
    for step, rank in ((99, 2), (200, 4), (1000, 8)):
        folder = change_config(
            tiny_adapter(root / f"checkpoint-{step}", rank=rank), base_model_name_or_path="acme/tiny-base"
        )
        history = [{"step": 99, "eval_loss": 0.9}, {"step": step, "eval_loss": 1 / rank}]
        write_json(folder / "trainer_state.json", {"global_step": step, "log_history": history})
    (root / "README.md").write_text("# Three checkpoints\n")
    hub.seed("stranger/several", root)
    return root


def test_folders_with_adapters_are_named_with_the_command(several: Path, hub: Hub, elsewhere: Registry) -> None:
    """The newest first, and nothing is downloaded."""
    hub.log.clear()
    with pytest.raises(InvalidArtifact) as raised:
        pull(elsewhere, "stranger/several")
    problem = raised.value.problems[0]
    assert (
        "with: lorarack pull stranger/several --subfolder checkpoint-1000 (others: 'checkpoint-200', 'checkpoint-99')"
        in problem
    )
    assert not any("/resolve/" in entry.path for entry in hub.log)


def test_a_folder_is_pulled_alone(several: Path, hub: Hub, elsewhere: Registry) -> None:
    pulled = pull(elsewhere, "stranger/several", subfolder="checkpoint-200")
    version = pulled.published.version
    assert (version.reference, version.rank) == ("stranger/several@1", 4)
    assert version.provenance is not None
    assert version.provenance.source == f"stranger/several@{pulled.commit}/checkpoint-200"
    found = version.metric("loss", "validation")
    assert found is not None
    assert found.value == 0.25, "that of its own step"


@pytest.mark.parametrize("view", ["tree/main/checkpoint-200", "blob/main/checkpoint-200/adapter_config.json"])
def test_an_address_from_the_browser_is_pulled(
    view: str, several: Path, hub: Hub, elsewhere: Registry, lorarack: Command
) -> None:
    code, out, err = lorarack(
        "pull", f"https://huggingface.co/stranger/several/{view}", "theirs", "--registry", str(Path(elsewhere.location))
    )
    assert code == 0, err
    assert "theirs@1" in out
    assert "(rank 4" in out


def test_a_folder_that_is_not_there_is_named(several: Path, hub: Hub, elsewhere: Registry) -> None:
    with pytest.raises(NotFound, match="has no folder 'checkpoint-7'"):
        pull(elsewhere, "stranger/several", subfolder="checkpoint-7")
    with pytest.raises(UsageError, match="is no folder in a repository"):
        pull(elsewhere, "stranger/several", subfolder="../..")


def test_odd_names_of_folders_are_quoted_for_the_shell(hub: Hub, tmp_path: Path, elsewhere: Registry) -> None:
    root = tmp_path / "odd"
    tiny_adapter(root / "a b; rm x")
    hub.seed("stranger/odd", root)
    with pytest.raises(InvalidArtifact, match="--subfolder 'a b; rm x'"):
        pull(elsewhere, "stranger/odd")


def test_a_repository_of_another_kind_is_told_for_what_it_is(hub: Hub, tmp_path: Path, elsewhere: Registry) -> None:
    root = tmp_path / "mlx"
    root.mkdir()
    (root / "adapter_config.json").write_text("{}")
    shutil.copy(tiny_adapter(tmp_path / "a") / "adapter_model.safetensors", root / "adapters.safetensors")
    hub.seed("stranger/mlx", root)
    with pytest.raises(InvalidArtifact, match="it is an adapter of MLX"):
        pull(elsewhere, "stranger/mlx")
