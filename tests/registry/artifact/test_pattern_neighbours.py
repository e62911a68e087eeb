"""Lists and patterns of a configuration that are there to take long: one sentence, within seconds, or published as quickly."""

import time
from pathlib import Path
from typing import Any

import pytest
from tests.tiny import change_config, tiny_adapter, tiny_base

from lorarack.registry import Registry, open_registry
from lorarack.registry.errors import InvalidArtifact

BOMB = r"(.+)(.+)(.+)(.+)(.+)(.+)(.+)(.+)\1\2\3\4\5\6\7\8"
NAMES = [f"nothing.{number}" for number in range(100_000)]
SECONDS = 10.0


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    opened = open_registry(tmp_path / "home")
    opened.add_base(str(tiny_base(tmp_path / "base")), "tiny")
    return opened


@pytest.mark.parametrize(
    "config",
    [
        {"target_modules": BOMB},
        {"exclude_modules": BOMB},
        {"target_modules": "(" * 5_000 + "a" + ")" * 5_000},
        {"target_modules": "a" * 100_000},
        {"exclude_modules": "(a|" * 30_000},
        {"layers_to_transform": [0], "layers_pattern": [BOMB] * 1_000},
        {"target_modules": NAMES},
        {"target_modules": ["q" * 1_000_000]},
        {"rank_pattern": {"q" * 1_000_000: 4}},
        {"rank_pattern": {BOMB: 4}},
    ],
    ids=lambda config: "-".join(config),
)
def test_refused_in_one_sentence_within_seconds(tmp_path: Path, registry: Registry, config: dict[str, Any]) -> None:
    adapter = change_config(tiny_adapter(tmp_path / "one"), **config)
    begin = time.thread_time()
    with pytest.raises(InvalidArtifact, match="cannot be published") as refused:
        registry.publish(adapter, "support", base="tiny")
    assert time.thread_time() - begin < SECONDS
    assert len(str(refused.value)) < 2_000


@pytest.mark.parametrize(
    "config",
    [{"target_modules": ["q_proj", "v_proj", *NAMES]}, {"exclude_modules": NAMES[:5_000]}],
    ids=lambda config: "-".join(config),
)
def test_long_lists_that_name_nothing_cost_no_time(tmp_path: Path, registry: Registry, config: dict[str, Any]) -> None:
    adapter = change_config(tiny_adapter(tmp_path / "one"), **config)
    begin = time.thread_time()
    assert registry.publish(adapter, "support", base="tiny").version.number == 1
    assert time.thread_time() - begin < SECONDS
