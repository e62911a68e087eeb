"""Whether an adapter is whole, fits its base and can be served as trained. Every problem at once, each with its remedy."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

from lorarack.registry.artifact.folder import Folder, open_folder
from lorarack.registry.artifact.header import HeaderError, Tensor, read_header
from lorarack.registry.artifact.manifest import CHAT_TEMPLATE, CONFIG, WEIGHTS
from lorarack.registry.artifact.patterns import Patience
from lorarack.registry.artifact.peft_config import PeftConfig, canonical_config, parse_config
from lorarack.registry.artifact.tensors import FLOATS, Pair, Pairs, all_zero, not_finite, pair_up
from lorarack.registry.artifact.tokenizer import tokenizer_problems
from lorarack.registry.artifact.trainer_state import read_curves
from lorarack.registry.errors import InvalidArtifact
from lorarack.registry.values import Base, Metric, ModuleTable

_SHOWN = 3  # names listed before "and N more"


@dataclass(frozen=True, slots=True)
class Artifact:
    """A checked adapter, ready to be stored; ``tensors`` say where each lies in the weight file."""

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
    notes: tuple[str, ...]


def read_artifact(path: Path, base: Base) -> Artifact:
    """Read and check the adapter in ``path`` against ``base``.

    Raises:
        NotFound: no such folder.
        InvalidArtifact: it cannot be kept or served whole; lists every problem.
    """
    with open_folder(path) as folder:
        artifact = inspect_artifact(folder, base)
        check_numbers(folder.weights, artifact, str(path))
    return artifact


def inspect_artifact(folder: Folder, base: Base) -> Artifact:
    """Everything of ``read_artifact`` but the look at all numbers, which takes longest and may be taken at a copy.

    Raises:
        InvalidArtifact: it cannot be kept or served whole; the numbers have been looked at then as well.
    """
    subject = f"The folder {str(folder.path)!r}"
    config, data, problems = parse_config(folder.read(CONFIG) or b"")
    tensors: tuple[Tensor, ...] = ()
    try:
        tensors = read_tensors(folder.weights)
    except HeaderError as error:
        problems.append(f"{WEIGHTS}: {error}; save or copy it again")
    if tensors:
        pairs = pair_up(tensors)
        problems.extend(_pair_problems(pairs, base.modules, base.name))
        if config is not None:
            problems.extend(_config_problems(config, pairs))
    elif not problems:
        problems.append(f"{WEIGHTS} holds no tensors")
    of_tokens = tokenizer_problems(folder, base)
    if problems or of_tokens or config is None:
        problems.extend(_number_problems(folder.weights, tensors))
        raise InvalidArtifact([*problems, *of_tokens], subject=subject)
    try:
        canonical = canonical_config(data)
    except RecursionError as error:
        raise InvalidArtifact([f"{CONFIG} is nested too deeply"], subject=subject) from error
    return Artifact(
        config=canonical,
        settings=data,
        chat_template=folder.read(CHAT_TEMPLATE),
        tensors=tensors,
        weights_bytes=max(tensor.end for tensor in tensors),
        rank=max(pair.a.shape[0] for pair in pairs.by_module.values() if pair.a),
        alpha=config.lora_alpha,
        rslora=config.use_rslora,
        target_modules=tuple(sorted({module.rpartition(".")[2] for module in pairs.by_module})),
        dtype="/".join(sorted({tensor.dtype for tensor in tensors})).lower(),
        parameters=sum(tensor.size for tensor in tensors),
        curves=read_curves(folder),
        notes=_notes(folder),
    )


def check_numbers(weights: Path | FileIO, artifact: Artifact, shown: str) -> None:
    """Look at all numbers of ``weights``, a file or a copy of it with the tensors of ``artifact``.

    Raises:
        InvalidArtifact: other dtypes than adapters have, NaN or infinity, or nothing but zeros; ``shown`` names the folder.
    """
    problems = _number_problems(weights, artifact.tensors)
    if problems:
        raise InvalidArtifact(problems, subject=f"The folder {shown!r}")


def read_tensors(weights: FileIO) -> tuple[Tensor, ...]:
    """The tensors of an open weight file. Raises ``HeaderError`` like ``read_header``."""
    weights.seek(0)
    with os.fdopen(os.dup(weights.fileno()), "rb") as buffered:
        return read_header(buffered, os.fstat(weights.fileno()).st_size)


def _notes(folder: Folder) -> tuple[str, ...]:
    return (f"Passed over: {', '.join(folder.passed_over)}.",) if folder.passed_over else ()


def _pair_problems(pairs: Pairs, table: ModuleTable, base: str) -> list[str]:
    modules = pairs.by_module.values()
    return [
        *_listed("is no LoRA weight that vLLM would apply; save the adapter again without it", pairs.strangers),
        *_listed("has lora_A or lora_B only; the file is not whole", [p.module for p in modules if not (p.a and p.b)]),
        *_listed(
            f"is no module of base {base!r} that an adapter can sit on; check that --base names the model it was trained on",
            [p.module for p in modules if p.module not in table],
        ),
        *_shape_problems((p for p in modules if p.a and p.b and p.module in table), table, base),
    ]


def _shape_problems(pairs: Iterable[Pair], table: ModuleTable, base: str) -> list[str]:
    problems = []
    for pair in pairs:
        out, width = table[pair.module]
        # An embedding's A looks rows up (rank, rows), its B makes the width (width, rank).
        inner, outer = (out, width) if pair.embedding else (width, out)
        a, b = (pair.a.shape if pair.a else ()), (pair.b.shape if pair.b else ())
        if len(a) != 2 or len(b) != 2 or a[0] != b[1] or a[0] == 0:
            problems.append(f"{pair.module}: lora_A {list(a)} and lora_B {list(b)} do not share one rank")
        elif (a[1], b[0]) != (inner, outer):
            problems.append(
                f"{pair.module}: lora_A takes {a[1]} and lora_B gives {b[0]}, but base {base!r} has {inner} and {outer} there; "
                "it was trained on another base"
            )
    return _shortened(problems)


def _config_problems(config: PeftConfig, pairs: Pairs) -> list[str]:
    wrong, untargeted = [], []
    patience = Patience()
    try:
        for pair in pairs.by_module.values():
            patience.check()
            if not config.targets(pair.module):
                untargeted.append(pair.module)
            elif pair.a and len(pair.a.shape) == 2 and pair.a.shape[0] != (rank := config.rank_of(pair.module)):
                wrong.append(
                    f"{pair.module[:100]!r} has weights of rank {pair.a.shape[0]}, but the configuration says {rank}"
                )
    except ValueError as error:
        return [f"{CONFIG}: {error}"]
    return [
        *_shortened(wrong),
        *_listed("has weights but is not among target_modules, so PEFT would not apply them", untargeted),
    ]


def _number_problems(weights: Path | FileIO, tensors: tuple[Tensor, ...]) -> list[str]:
    odd = [tensor.name for tensor in tensors if tensor.dtype not in FLOATS]
    if odd:
        return list(_listed("is not float32, float16 or bfloat16; save the adapter in one of these", odd))
    problems = list(_listed("holds NaN or infinity; the training diverged", not_finite(weights, tensors)))
    outs = [tensor for tensor in tensors if "lora_B" in tensor.name or "lora_embedding_B" in tensor.name]
    if outs and not problems and all_zero(weights, outs):
        problems.append("every lora_B is zero, so the adapter changes nothing; it has not been trained")
    return problems


def _listed(what: str, names: list[str]) -> list[str]:
    """One problem that names the first few culprits, or none."""
    if not names:
        return []
    shown = ", ".join(repr(name[:100]) for name in names[:_SHOWN])
    more = f" (and {len(names) - _SHOWN} more)" if len(names) > _SHOWN else ""
    return [f"{shown}{more} {what}"]


def _shortened(problems: list[str]) -> list[str]:
    if len(problems) <= _SHOWN:
        return problems
    return [*problems[:_SHOWN], f"and the same for {len(problems) - _SHOWN} more modules"]
