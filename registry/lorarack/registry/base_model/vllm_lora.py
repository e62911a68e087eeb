"""Which architectures the pinned vLLM serves without LoRA: facts of its model classes, kept as data so that vLLM is not needed."""

import json
from functools import cache
from importlib.resources import files


def why_no_lora(architecture: str) -> str | None:
    """Why adapters of such a base cannot be served, as a clause; None where they can, or where vLLM does not know the class."""
    version, without = _facts()
    if architecture not in without:
        return None
    return f"vLLM {version} serves {architecture} without LoRA"


@cache
def _facts() -> tuple[str, frozenset[str]]:
    data = json.loads(files("lorarack.registry.base_model").joinpath("vllm_lora.json").read_text())
    return str(data["vllm"]), frozenset(data["no_lora"])
