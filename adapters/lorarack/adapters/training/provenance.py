"""Where a version comes from: recipe, data, software, machine."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from lorarack.adapters.data.source import source_name
from lorarack.adapters.training.fit import Fit
from lorarack.adapters.training.inputs import Inputs
from lorarack.adapters.training.learning_rate import PROBE_KEY
from lorarack.registry.reference_logprobs import ReferenceLogprobs
from lorarack.registry.values import Provenance

_PACKAGES = ("lorarack", "torch", "transformers", "peft", "accelerate")


def provenance(
    inputs: Inputs, rank: int, fit: Fit, wall_seconds: float, reference: ReferenceLogprobs | None
) -> Provenance:
    """Complete enough to run it again; files by name, never by path."""
    recipe = inputs.recipe
    names = {key: source_name(value) for key in ("train", "validation", "test") if (value := getattr(recipe.data, key))}
    data = recipe.data.model_copy(update={**names, "revision": inputs.train.commit or recipe.data.revision})
    plain = recipe.model_copy(update={"data": data, "ranks": (rank,), "base": inputs.base.name})
    probed = {PROBE_KEY: inputs.probe.to_json()} if inputs.probe else {}
    return Provenance(
        recipe={**plain.to_json(), "best_step": fit.best_step, "fit": fit.to_json(), **probed},
        datasets=inputs.datasets(),
        seed=recipe.seed,
        versions=software(),
        hardware=hardware(),
        wall_seconds=round(wall_seconds, 1),
        reference=reference,
    )


def software() -> dict[str, str]:
    """The versions of the packages that a run uses."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def hardware() -> str:
    """The GPU, else the processor and its cores."""
    import torch

    if torch.cuda.is_available():
        return str(torch.cuda.get_device_name(0))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{_processor()}, {cores} cores"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()
