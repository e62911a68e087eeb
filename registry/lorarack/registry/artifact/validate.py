"""Checks that an adapter is complete, fits its base and can be served as trained; reports all problems at once, with remedies."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

from lorarack.registry.artifact.base_contents import BaseContents
from lorarack.registry.artifact.base_weights import WAY, base_weight_problems, tied_problems
from lorarack.registry.artifact.folder import Folder, open_folder
from lorarack.registry.artifact.header import HeaderError, Tensor, read_header
from lorarack.registry.artifact.largest import LargestNumbers
from lorarack.registry.artifact.magic import START, other_kind
from lorarack.registry.artifact.magnitudes import magnitude_problems
from lorarack.registry.artifact.manifest import CHAT_TEMPLATE, CONFIG, WEIGHTS
from lorarack.registry.artifact.module_names import modules_as_named
from lorarack.registry.artifact.peft_config import PeftConfig, applied_config, canonical_config, parse_config
from lorarack.registry.artifact.shapes import config_problems, pair_problems, rank_of
from lorarack.registry.artifact.tensors import FLOATS, Pairs, pair_up
from lorarack.registry.artifact.texts import listed
from lorarack.registry.artifact.tokenizer import tokenizer_findings
from lorarack.registry.artifact.trainer_state import Run, read_run
from lorarack.registry.disk import pump
from lorarack.registry.errors import InvalidArtifact
from lorarack.registry.values import Base, Metric


@dataclass(frozen=True, slots=True)
class Artifact:
    """A checked adapter, ready to be stored; ``tensors`` gives each tensor's place in the weight file."""

    config: bytes
    settings: Mapping[str, Any]
    chat_template: bytes | None
    tensors: tuple[Tensor, ...]
    weights_bytes: int
    rank: int
    alpha: float
    rslora: bool
    target_modules: tuple[str, ...]
    dtype: str
    parameters: int
    curves: tuple[Metric, ...]
    final: Metric | None
    notes: tuple[str, ...]


def read_artifact(path: Path, base: Base, contents: BaseContents | None = None) -> Artifact:
    """Read and check the adapter in ``path`` against ``base``.

    Raises:
        NotFound: no such folder.
        InvalidArtifact: it cannot be kept or served; lists every problem.
    """
    with open_folder(path) as folder:
        artifact = inspect_artifact(folder, base, contents)
        check_numbers(folder.weights, artifact, _largest(folder.weights, artifact.tensors), str(path))
    return artifact


def inspect_artifact(folder: Folder, base: Base, contents: BaseContents | None = None) -> Artifact:
    """``read_artifact`` without the check of the numbers, which takes longest and can run on a copy of the file.

    Args:
        folder: the adapter's folder.
        base: the base model that it must fit.
        contents: the base's files, for what can be told from them alone.

    Raises:
        InvalidArtifact: it cannot be kept or served; the list includes problems with the numbers.
    """
    subject = f"The folder {str(folder.path)!r}"
    config, data, problems = parse_config(folder.read(CONFIG) or b"")
    tensors, unreadable = _tensors(folder.weights)
    problems.extend(unreadable)
    pairs = pair_up(tensors)
    base = base.model_copy(update={"modules": modules_as_named(base, [*pairs.by_module, *pairs.base_weights])})
    if tensors:
        problems.extend(pair_problems(pairs, base.modules, base.name))
        problems.extend(base_weight_problems(folder.weights, pairs.base_weights, base, contents))
        if config is not None:
            problems.extend(config_problems(config, pairs, base.modules))
    of_tokens, notes = tokenizer_findings(folder, base, contents)
    if problems or of_tokens or config is None:
        problems.extend(_number_problems(folder.weights, tensors, _largest(folder.weights, tensors)))
        raise InvalidArtifact([*problems, *of_tokens], subject=subject)
    tied = tied_problems(folder.weights, pairs.by_module, config.ensure_weight_tying)
    if tied:
        raise InvalidArtifact(tied, subject=subject)
    try:
        canonical = canonical_config(data)
    except RecursionError as error:
        raise InvalidArtifact([f"{CONFIG} is nested too deeply"], subject=subject) from error
    own = [tensor for pair in pairs.by_module.values() for tensor in (pair.a, pair.b) if tensor]
    run = read_run(folder)
    return Artifact(
        config=canonical,
        settings=data,
        chat_template=folder.read(CHAT_TEMPLATE),
        tensors=tensors,
        weights_bytes=max(tensor.end for tensor in tensors),
        rank=rank_of(pairs.by_module.values()),
        alpha=config.lora_alpha,
        rslora=config.use_rslora,
        target_modules=tuple(sorted({module.rpartition(".")[2] for module in pairs.by_module})),
        dtype="/".join(sorted({tensor.dtype for tensor in own})).lower(),
        parameters=sum(tensor.size for tensor in own),
        curves=run.curves,
        final=run.final,
        notes=_notes(folder, pairs, run, notes),
    )


def check_numbers(weights: FileIO, artifact: Artifact, largest: LargestNumbers, shown: str) -> None:
    """Judge the numbers of ``weights``, a file or a copy of it with the tensors of ``artifact``.

    Args:
        weights: the file, from which only tensors are read whose product with their partner could be too large.
        artifact: what was read of it.
        largest: what its bytes were shown to, all of them.
        shown: names the folder in messages.

    Raises:
        InvalidArtifact: other dtypes than adapters have, NaN or infinity, nothing but zeros, or too large numbers.
    """
    problems = _number_problems(weights, artifact.tensors, largest, applied_config(artifact.config))
    if problems:
        raise InvalidArtifact(problems, subject=f"The folder {shown!r}")


def read_tensors(weights: FileIO) -> tuple[Tensor, ...]:
    """The tensors of an open weight file. Raises ``HeaderError``: not a safetensors file."""
    weights.seek(0)
    with os.fdopen(os.dup(weights.fileno()), "rb") as buffered:
        return read_header(buffered, os.fstat(weights.fileno()).st_size)


def _tensors(weights: FileIO) -> tuple[tuple[Tensor, ...], list[str]]:
    """The tensors of an open weight file, or why there are none."""
    try:
        tensors = read_tensors(weights)
    except HeaderError as error:
        weights.seek(0)
        other = other_kind(weights.read(START) or b"")
        return (), [f"{WEIGHTS} {other}" if other else f"{WEIGHTS}: {error}; save or copy it again"]
    if not any(tensor.size for tensor in tensors):
        what = "tensors" if not tensors else "numbers: all its tensors are empty"
        return (), [
            f"{WEIGHTS} holds no {what}; a model that is sharded (ZeRO-3, FSDP) or has no adapter saves such a file, so gather it "
            "(accelerator.get_state_dict) and save again"
        ]
    return tensors, []


def _notes(folder: Folder, pairs: Pairs, run: Run, notes: list[str]) -> tuple[str, ...]:
    found = [f"Ignored: {', '.join(folder.ignored)}."] if folder.ignored else []
    if run.note:
        found.append(run.note)
    if pairs.base_weights:
        size = sum(tensor.end - tensor.start for tensor in pairs.base_weights.values()) / 2**20
        found.append(f"{size:.1f} MiB of it are the base's own embedding, which vLLM ignores; to leave it out, {WAY}.")
    return (*found, *notes)


def _largest(weights: FileIO, tensors: tuple[Tensor, ...]) -> LargestNumbers:
    largest = LargestNumbers(tensors)
    weights.seek(0)
    pump(weights, largest.feed)
    return largest


def _number_problems(
    weights: FileIO, tensors: tuple[Tensor, ...], numbers: LargestNumbers, config: PeftConfig | None = None
) -> list[str]:
    odd = [tensor.name for tensor in tensors if tensor.dtype not in FLOATS]
    if odd:
        return [f"{listed(odd)} is not float32, float16 or bfloat16; save the adapter in one of these"]
    largest = numbers.magnitudes()
    if infinite := [name for name, number in largest.items() if math.isinf(number)]:
        return [f"{listed(infinite)} holds NaN or infinity; the training diverged"]
    by_module = pair_up(tensors).by_module
    pairs = [(largest[pair.a.name], largest[pair.b.name]) for pair in by_module.values() if pair.a and pair.b]
    if pairs and not any(a and b for a, b in pairs):
        side = "lora_A or lora_B" if any(b for _, b in pairs) else "lora_B"
        return [f"every {side} is zero, so the adapter changes nothing; it has not been trained"]
    return magnitude_problems(weights, config, by_module, largest) if config is not None else []
