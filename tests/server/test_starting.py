"""Python looks for no garbage while vLLM is imported, and does again afterwards."""

import gc
import logging
import subprocess
import sys
from typing import Any

import pytest
from tests.server.test_settings import SETTINGS

from lorarack.server.settings import VARIABLE


@pytest.mark.parametrize(
    ("begin", "collects"),
    [
        ("import multiprocessing.spawn", True),
        (f"import os; os.environ[{VARIABLE!r}] = 'x'", True),
        (f"import os, multiprocessing.spawn; os.environ[{VARIABLE!r}] = 'x'", False),
    ],
)
def test_only_a_process_that_vllm_begins_for_a_server_imports_without(begin: str, collects: bool) -> None:
    code = f"{begin}\nimport gc, lorarack.registry.cli.main\nprint(gc.isenabled())"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == f"{collects}\n"


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
