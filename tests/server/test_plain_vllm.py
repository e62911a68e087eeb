"""Installing lorarack changes nothing in a vLLM that `lorarack serve` did not start."""

import os
import subprocess
import sys

import pytest

from lorarack.server.settings import VARIABLE, CpuLora, ServingSettings

pytestmark = pytest.mark.torch

SCRIPT = """
import logging
from fastapi import FastAPI
from vllm.plugins import load_endpoint_plugins, load_general_plugins
load_general_plugins()
from vllm.platforms import current_platform
from lorarack.server.engine_errors import FirstErrorHandler
app = FastAPI()
app.state.args = type("Args", (), {"api_key": None})
before = len(app.routes)
for plugin in load_endpoint_plugins(("generate",)):
    plugin.attach_router(app)
notes = any(isinstance(handler, FirstErrorHandler) for handler in logging.getLogger("vllm").handlers)
print("ANSWER", current_platform.get_punica_wrapper(), len(app.routes) - before, len(app.user_middleware), notes)
"""


def answer(**variables: str) -> list[str]:
    environ = {name: value for name, value in os.environ.items() if name not in (VARIABLE, "VLLM_PLUGINS")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env={**environ, **variables}, capture_output=True, text=True, check=True
    )
    line = next(line for line in done.stdout.splitlines() if line.startswith("ANSWER"))
    return line.split()[1:]


@pytest.mark.parametrize("variables", [{}, {"VLLM_PLUGINS": "lorarack,lorarack_http"}])
def test_plain_vllm_keeps_its_own_arithmetic_routes_and_logs(variables: dict[str, str]) -> None:
    """Also where all plugins are allowed by name."""
    assert answer(**variables) == ["vllm.lora.punica_wrapper.punica_cpu.PunicaWrapperCPU", "0", "0", "False"]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [(CpuLora.KERNEL, "layer_patch.KernelPunicaWrapper"), (CpuLora.OFF, "punica.GroupedPunicaWrapper")],
)
def test_under_lorarack_serve_all_of_it_is_in_place(choice: CpuLora, expected: str) -> None:
    """Else the test above could not fail."""
    settings = ServingSettings(registry="/r", base="b", fingerprint="f", cache="/c", errors="/f", cpu_lora=choice)
    environ = {VARIABLE: settings.model_dump_json()}
    wrapper, routes, middlewares, notes = answer(VLLM_PLUGINS="lorarack,lorarack_http", **environ)
    assert wrapper == f"lorarack.server.cpu.{expected}"
    assert int(routes) >= 1
    assert (middlewares, notes) == ("1", "True")
