"""What `lorarack serve` tells vLLM's processes, and what they make of anything else."""

import pytest

from lorarack.registry.errors import EngineError
from lorarack.server.settings import VARIABLE, ServingSettings

SETTINGS = ServingSettings(registry="/r", base="smol", fingerprint="sha256:0", cache="/c", errors="/f")


def test_settings_survive_the_environment() -> None:
    environ = {VARIABLE: SETTINGS.model_dump_json()}
    assert ServingSettings.from_environment(environ) == SETTINGS


def test_without_the_variable_there_are_none() -> None:
    assert ServingSettings.from_environment({}) is None


@pytest.mark.parametrize("raw", ["", "yes", "{}", '{"registry": "/r", "more": 1}'])
def test_a_variable_set_by_hand_is_refused(raw: str) -> None:
    with pytest.raises(EngineError, match="unset it"):
        ServingSettings.from_environment({VARIABLE: raw})
