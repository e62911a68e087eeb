"""Python looks for no garbage while vLLM is imported, and does again afterwards."""

import gc
import logging
from typing import Any

import pytest
from tests.server.test_settings import SETTINGS

from lorarack.server.settings import VARIABLE


@pytest.mark.parametrize("serving", [True, False])
def test_our_plugin_turns_it_on_again_where_we_turned_it_off(serving: bool, monkeypatch: Any) -> None:
    from lorarack.server.vllm_plugin import cpu_seam, general

    monkeypatch.setattr(cpu_seam, "use_our_lora", lambda _: None)
    monkeypatch.setattr(logging.getLogger("vllm"), "handlers", [])
    monkeypatch.delenv(VARIABLE, raising=False)
    if serving:
        monkeypatch.setenv(VARIABLE, SETTINGS.model_dump_json())
    gc.disable()
    try:
        general.register()
        assert gc.isenabled() == serving
    finally:
        gc.enable()
