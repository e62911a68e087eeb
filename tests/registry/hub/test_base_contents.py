"""What only the base's files can tell is read from the Hub where the base is known from there."""

from pathlib import Path

import pytest
from tests.hub_stand_in.hub import Hub
from tests.registry.artifact.test_base_weights import OWN, with_head
from tests.tiny import change_config, tiny_adapter, write_json

from lorarack.registry import Registry
from lorarack.registry.errors import InvalidArtifact
from lorarack.registry.hub.pull import pull

TINY = {"base_model_name_or_path": "acme/tiny-base"}


def test_the_bases_own_embedding_is_compared_over_the_hub(
    hub: Hub, elsewhere: Registry, theirs: Path, tmp_path: Path
) -> None:
    hub.seed("stranger/head", change_config(with_head(tmp_path / "same", OWN), **TINY))
    assert pull(elsewhere, "stranger/head").published.created
    hub.seed("stranger/other", change_config(with_head(tmp_path / "other", OWN + 1), **TINY))
    with pytest.raises(InvalidArtifact, match="is not the weight of base 'tiny'"):
        pull(elsewhere, "stranger/other")


def test_added_tokens_are_compared_over_the_hub(hub: Hub, elsewhere: Registry, theirs: Path, tmp_path: Path) -> None:
    folder = change_config(tiny_adapter(tmp_path / "a"), **TINY)
    write_json(folder / "added_tokens.json", {"<s>": 1, "</s>": 2})
    hub.seed("stranger/tokens", folder)
    assert pull(elsewhere, "stranger/tokens").published.created


def test_a_base_that_is_gone_from_the_hub_is_said(hub: Hub, elsewhere: Registry, tmp_path: Path) -> None:
    """Neither accepted unseen nor blamed on the adapter."""
    hub.repositories.pop("acme/tiny-base", None)
    folder = with_head(tmp_path / "a", OWN)
    write_json(folder / "added_tokens.json", {"</s>": 2})
    with pytest.raises(InvalidArtifact) as raised:
        elsewhere.publish(folder, "support", base="tiny")
    assert len(raised.value.problems) == 2
    for problem in raised.value.problems:
        assert "make the base's files reachable" in problem
