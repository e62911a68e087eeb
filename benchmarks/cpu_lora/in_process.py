"""The server's engine in this process, so that single steps can be timed and looked into."""

import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.cpu_lora.arms import MODULES


def with_threads(module: str) -> None:
    """Begin this process again, as ``module``, with what OpenMP and the allocator read when a process begins."""
    if "GOMP_CPU_AFFINITY" in os.environ:
        return
    from lorarack.server.defaults import KEEP_MEMORY

    cores = sorted(os.sched_getaffinity(0))
    os.environ |= {"OMP_NUM_THREADS": str(len(cores)), "GOMP_CPU_AFFINITY": " ".join(map(str, cores))}
    os.environ["GLIBC_TUNABLES"] = KEEP_MEMORY
    os.execv(sys.executable, [sys.executable, "-m", module, *sys.argv[1:]])


def kept_kernel() -> Path:
    """The kernel as it is now, in the user's cache folder; compiled when it is not there."""
    from lorarack.server.cpu.kernel_build import build_kernel, is_intact, kernel_path

    path = kernel_path(Path.home() / ".cache" / "lorarack-bench")
    if not is_intact(path):
        build_kernel(path)
    return path


class Engine:
    """vLLM's engine over ``base`` in bf16, compiled, with our kernel; what it says goes to nobody."""

    def __init__(self, base: Path, folder: Path, slots: int, rank: int, rows: int) -> None:
        from lorarack.server.settings import VARIABLE, CpuLora, ServingSettings

        os.environ[VARIABLE] = ServingSettings(
            registry=str(folder), base="base", fingerprint="-", cache=str(folder), errors=str(folder),
            cpu_lora=CpuLora.KERNEL, kernel=str(kept_kernel()),
        ).model_dump_json()  # fmt: skip
        os.environ |= {"VLLM_PLUGINS": "lorarack", "VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
        os.environ |= {"VLLM_CPU_NUM_OF_RESERVED_CPU": "0", "VLLM_CONFIGURE_LOGGING": "0"}
        from vllm import LLM

        self._engine: Any = LLM(
            str(base), dtype="bfloat16", enable_lora=True, max_loras=slots, max_cpu_loras=2 * slots, max_lora_rank=rank,
            lora_target_modules=list(MODULES), max_model_len=1024, max_num_seqs=rows, kv_cache_memory_bytes=512 << 20,
            enable_prefix_caching=False,
        ).llm_engine  # fmt: skip
        self._loaded: dict[Path, Any] = {}

    def fill(self, folders: Sequence[Path], rows: int, prompt: int, output: int) -> None:
        """Finish what is running, then add ``rows`` requests that take turns with the adapters (none: the base)."""
        from vllm import SamplingParams

        while self._engine.has_unfinished_requests():
            self._engine.step()
        limits = SamplingParams(temperature=0, max_tokens=output, ignore_eos=True)
        for row in range(rows):
            lora = self._adapter(folders[row % len(folders)]) if folders else None
            tokens = [1000 + 97 * row + place for place in range(prompt)]
            name = f"{time.perf_counter_ns()}-{row}"
            self._engine.add_request(name, {"prompt_token_ids": tokens}, limits, lora_request=lora)

    def _adapter(self, folder: Path) -> Any:
        """What requests name it by. At first it is handed over as the server does: by an open file."""
        from vllm.lora.request import LoRARequest

        from lorarack.server.vllm.lora_path import load_path, request_path

        if folder not in self._loaded:
            number = len(self._loaded) + 1
            with tempfile.TemporaryFile() as copy:
                copy.write(adapter_bytes(folder))
                copy.flush()
                self._engine.add_lora(LoRARequest(folder.name, number, load_path(copy.fileno())))
            self._loaded[folder] = LoRARequest(folder.name, number, request_path(folder.name))
        return self._loaded[folder]

    def step(self) -> float:
        """Seconds that one step of all rows takes."""
        begin = time.perf_counter()
        self._engine.step()
        return time.perf_counter() - begin


def adapter_bytes(folder: Path) -> bytes:
    """The adapter as one file that an engine takes: its weights, with rank and scaling of each module beside them."""
    from safetensors.torch import load_file, save

    from lorarack.registry.artifact.weights import pair_up, read_header
    from lorarack.server.adapter_copy import SCALINGS

    weights = folder / "adapter_model.safetensors"
    config = json.loads((folder / "adapter_config.json").read_text())
    with weights.open("rb") as file:
        modules = pair_up(read_header(file, weights.stat().st_size)).by_module
    scalings = dict.fromkeys(modules, (config["r"], config["lora_alpha"] / config["r"]))
    written: bytes = save(load_file(weights), metadata={SCALINGS: json.dumps(scalings)})
    return written
