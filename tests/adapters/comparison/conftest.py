"""A registry with one adapter at two ranks, and a second base."""

from pathlib import Path

import pytest
from tests.tiny import tiny_adapter, tiny_base

from lorarack.registry import Metric, open_registry


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """orders@1 (rank 2), orders@2 (rank 4) on ``tiny``; other@1 on ``another``."""
    home = tmp_path / "home"
    with open_registry(home) as registry:
        registry.add_base(str(tiny_base(tmp_path / "tiny")), "tiny")
        registry.add_base(str(tiny_base(tmp_path / "other", seed=1)), "another")
        for rank, loss in ((2, 0.3), (4, 0.2)):
            folder = tiny_adapter(tmp_path / f"r{rank}", rank)
            registry.publish(
                folder, "orders", base="tiny", metrics=[Metric(name="loss", split="validation", value=loss)]
            )
        registry.publish(tiny_adapter(tmp_path / "r8", 8), "other", base="another")
    return home
