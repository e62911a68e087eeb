"""The entry point by which vLLM finds our CPU platform. Every vLLM of this environment imports it, so it imports little."""

import os


def platform() -> str | None:
    """The class that is this process's platform; None unless `lorarack serve` started it and vLLM is built for CPUs."""
    from lorarack.server.settings import VARIABLE
    from lorarack.server.vllm_version import installed_vllm

    found = installed_vllm()
    ours = VARIABLE in os.environ and found is not None and found.cpu
    return "lorarack.server.cpu.platform.LorarackCpuPlatform" if ours else None
