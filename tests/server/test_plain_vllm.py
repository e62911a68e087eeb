"""Installing lorarack changes nothing in a vLLM that `lorarack serve` did not start."""

import json
import os
import subprocess
import sys

import pytest

from lorarack.server.settings import VARIABLE, CpuLora, ServingSettings

pytestmark = pytest.mark.torch

#: Looks at vLLM in one process for each set of variables. They are forked from one that has imported what vLLM imports of torch,
#: and nothing of vLLM.
SCRIPT = """
import json, logging, os, sys
import torch._dynamo.aot_compile, torch._inductor.standalone_compile
from fastapi import FastAPI

def look():
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
    return current_platform.get_punica_wrapper(), len(app.routes) - before, len(app.user_middleware), notes

for variables in json.loads(sys.argv[1]):
    assert "vllm" not in sys.modules
    if not (child := os.fork()):
        os.environ.update(variables)
        print("ANSWER", *look(), flush=True)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""


def answers(*variables: dict[str, str]) -> list[list[str]]:
    environ = {name: value for name, value in os.environ.items() if name not in (VARIABLE, "VLLM_PLUGINS")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(variables)], env=environ, capture_output=True, text=True, check=True
    )
    return [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("ANSWER")]


def settings(choice: CpuLora) -> dict[str, str]:
    """What `lorarack serve` sets."""
    made = ServingSettings(registry="/r", base="b", fingerprint="f", cache="/c", errors="/f", cpu_lora=choice)
    return {"VLLM_PLUGINS": "lorarack,lorarack_http", VARIABLE: made.model_dump_json()}


def test_installing_lorarack_changes_nothing_and_serving_puts_all_of_it_in_place() -> None:
    """Nothing changes also where all plugins are allowed by name."""
    plain, allowed, kernel, off = answers(
        {}, {"VLLM_PLUGINS": "lorarack,lorarack_http"}, settings(CpuLora.KERNEL), settings(CpuLora.OFF)
    )
    assert plain == allowed == ["vllm.lora.punica_wrapper.punica_cpu.PunicaWrapperCPU", "0", "0", "False"]
    for served, wrapper in ((kernel, "layer_patch.KernelPunicaWrapper"), (off, "punica.GroupedPunicaWrapper")):
        name, routes, middlewares, notes = served
        assert name == f"lorarack.server.cpu.{wrapper}"
        assert int(routes) >= 1
        assert (middlewares, notes) == ("1", "True")
