"""Spoiled safetensors headers, configurations, tokenizers and exports: refused or taken, never a crash, a hang or a stray file.

``python -m benchmarks.fuzz`` tries many more.
"""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from tests.registry.fuzzing import Sandbox

pytestmark = pytest.mark.thorough


@pytest.mark.parametrize("kind", ["header", "configuration", "tokenizer", "manifest"])
def test_spoiled_input_does_no_harm(kind: str, tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)

    @settings(max_examples=100, database=None, suppress_health_check=list(HealthCheck))
    @given(sandbox.inputs()[kind])
    def cases(case: tuple[str, bytes]) -> None:
        sandbox.check(*case)

    cases()
    assert sum(sandbox.outcomes.values()) >= 100
    assert sandbox.outcomes.total() > sandbox.outcomes["accepted"], "some are refused"
