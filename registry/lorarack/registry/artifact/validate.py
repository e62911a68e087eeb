"""Checks that an adapter is complete, fits its base and can be served as trained; reports all problems at once, with remedies."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import FileIO
from typing import Any

from lorarack.registry.artifact.adapter_config import canonical_config, parse_config
from lorarack.registry.artifact.base_weights import WAY, BaseContents, base_weight_problems, tied_problems
from lorarack.registry.artifact.deltas import modules_over
from lorarack.registry.artifact.folder import Folder
from lorarack.registry.artifact.limits import MAX_DELTA_RMS, MAX_NUMBER, MAX_SCALING
from lorarack.registry.artifact.manifest import CONFIG, GENERATION_CONFIG, PROMPT_FILES, WEIGHTS
from lorarack.registry.artifact.misfits import shape_cause, unknown_module_problems, unknown_tensor_problems
from lorarack.registry.artifact.module_names import modules_as_named
from lorarack.registry.artifact.other_formats import START, other_kind
from lorarack.registry.artifact.peft_config import PeftConfig, TimeBudget
from lorarack.registry.artifact.prompt_settings import PromptSettings, read_prompt_settings
from lorarack.registry.artifact.tokenizer import TOKENIZER_FILES, tokenizer_findings
from lorarack.registry.artifact.trainer_state import RUN_FILES, Run, read_run
from lorarack.registry.artifact.weights import (
    FLOATS,
    HeaderError,
    LargestNumbers,
    Pair,
    Pairs,
    Tensor,
    fits,
    pair_up,
    read_tensors,
)
from lorarack.registry.disk import pump
from lorarack.registry.errors import InvalidArtifact
from lorarack.registry.texts import listed, shortened
from lorarack.registry.values import Base, Metric, ModuleTable


@dataclass(frozen=True, slots=True)
class Artifact:
    """A checked adapter, ready to be stored; ``tensors`` gives each tensor's place in the weight file."""

    config: PeftConfig
    settings: Mapping[str, Any]
    canonical: bytes
    prompt_settings: PromptSettings
    tensors: tuple[Tensor, ...]
    weights_bytes: int
    rank: int
    target_modules: tuple[str, ...]
    dtype: str
    parameters: int
    curves: tuple[Metric, ...]
    final: Metric | None
    notes: tuple[str, ...]


def inspect_artifact(folder: Folder, base: Base, contents: BaseContents) -> Artifact:
    """Read and check the adapter in ``folder``: all but its numbers, which takes longest and can be done on a copy of the file.

    Args:
        folder: the adapter's folder.
        base: the base model that it must fit.
        contents: the base's files, for what can be told from them alone.

    Raises:
        InvalidArtifact: it cannot be kept or served; lists every problem, those with the numbers included.
    """
    subject = f"The folder {str(folder.path)!r}"
    config, settings, problems = parse_config(folder.read(CONFIG) or b"")
    tensors, unreadable = _tensors(folder.weights)
    problems.extend(unreadable)
    speaks = not {*PROMPT_FILES, GENERATION_CONFIG}.isdisjoint(folder.files)
    prompt_settings = read_prompt_settings(folder) if speaks else PromptSettings()
    problems.extend(prompt_settings.problems)
    pairs = pair_up(tensors)
    if any(name not in base.modules for name in (*pairs.by_module, *pairs.base_weights)):
        base = base.model_copy(update={"modules": modules_as_named(base, [*pairs.by_module, *pairs.base_weights])})
    if tensors:
        problems.extend(_pair_problems(pairs, base.modules, base.name))
        if pairs.base_weights:
            problems.extend(base_weight_problems(folder.weights, pairs.base_weights, base, contents))
        if config is not None:
            problems.extend(_config_problems(config, pairs, base.modules))
    has_tokenizer = not TOKENIZER_FILES.isdisjoint(folder.files)
    of_tokens, notes = tokenizer_findings(folder, base, contents) if has_tokenizer else ([], [])
    if problems or of_tokens or config is None:
        largest = LargestNumbers(tensors)
        folder.weights.seek(0)
        pump(folder.weights, largest.feed)
        problems.extend(_number_problems(folder.weights, tensors, largest, None))
        raise InvalidArtifact([*problems, *of_tokens], subject=subject)
    if config.ensure_weight_tying and (tied := tied_problems(folder.weights, pairs.by_module)):
        raise InvalidArtifact(tied, subject=subject)
    try:
        canonical = canonical_config(settings)
    except RecursionError as error:
        raise InvalidArtifact([f"{CONFIG} is nested too deeply"], subject=subject) from error
    own = [tensor for pair in pairs.by_module.values() for tensor in (pair.a, pair.b) if tensor]
    run = Run() if RUN_FILES.isdisjoint(folder.files) else read_run(folder)
    return Artifact(
        config=config,
        settings=settings,
        canonical=canonical,
        prompt_settings=prompt_settings,
        tensors=tensors,
        weights_bytes=max(tensor.end for tensor in tensors),
        rank=max(pair.a.shape[0] for pair in pairs.by_module.values() if pair.a),
        target_modules=tuple(sorted({module.rpartition(".")[2] for module in pairs.by_module})),
        dtype="/".join(sorted({tensor.dtype for tensor in own})).lower(),
        parameters=sum(tensor.size for tensor in own),
        curves=run.curves,
        final=run.final,
        notes=(*_notes(folder, pairs, run, notes), *prompt_settings.notes),
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
    problems = _number_problems(weights, artifact.tensors, largest, artifact.config)
    if problems:
        raise InvalidArtifact(problems, subject=f"The folder {shown!r}")


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


def _pair_problems(pairs: Pairs, table: ModuleTable, base: str) -> list[str]:
    """What is wrong with names, and with shapes against the base's ``table``."""
    modules = pairs.by_module.values()
    problems = unknown_tensor_problems(pairs.unknown) if pairs.unknown else []
    if half := [pair.module for pair in modules if not (pair.a and pair.b)]:
        problems.append(f"{listed(half)} has lora_A or lora_B only; the file is not whole, save the adapter again")
    if unknown := [pair.module for pair in modules if pair.module not in table]:
        problems += unknown_module_problems(unknown, table, base)
    whole = [pair for pair in modules if pair.a and pair.b]
    empty = [pair.module for pair in whole if any(_is_a_piece(tensor) for tensor in (pair.a, pair.b) if tensor)]
    if empty:
        problems.append(
            f"{listed(empty)} has empty or flat matrices, as a model sharded by ZeRO-3 or FSDP leaves them; gather it before "
            "saving (stage3_gather_16bit_weights_on_model_save, accelerator.get_state_dict) and save again"
        )
    judged = (pair for pair in whole if pair.module in table and pair.module not in set(empty))
    misfits = [pair for pair in judged if not fits(pair, table[pair.module])]
    return problems + shortened([shape_cause(pair, table[pair.module], base) for pair in misfits])


def _config_problems(config: PeftConfig, pairs: Pairs, table: ModuleTable) -> list[str]:
    """What the configuration says otherwise than the weights: PEFT goes by the one, vLLM by the other."""
    wrong, untargeted = [], []
    budget = TimeBudget()
    patterns = len({**config.rank_pattern, **config.alpha_pattern})
    if patterns > max(len(table), len(pairs.by_module)):
        return [f"{CONFIG}: it has {patterns} patterns for the {len(table)} modules of the base; write fewer"]
    try:
        for pair in _known(pairs, table):
            budget.check()
            if not config.targets(pair.module):
                untargeted.append(pair.module)
            elif (
                pair.a
                and len(pair.a.shape) == 2
                and pair.a.size
                and pair.a.shape[0] != (rank := config.rank_of(pair.module))
            ):
                wrong.append(
                    f"{pair.module[:100]!r} has weights of rank {pair.a.shape[0]}, but the configuration says {rank}"
                )
    except ValueError as error:
        return [f"{CONFIG}: {error}"]
    if untargeted:
        wrong = shortened(wrong)
        wrong.append(
            f"{listed(untargeted)} has weights but is not among target_modules{_narrowed(config)}, so PEFT would not apply "
            "them and vLLM would; save the adapter again, or set the configuration right"
        )
        return wrong
    return shortened(wrong)


def _known(pairs: Pairs, table: ModuleTable) -> Iterator[Pair]:
    return (pair for pair in pairs.by_module.values() if pair.module in table)


def _narrowed(config: PeftConfig) -> str:
    keys = ("exclude_modules", "layers_to_transform", "layers_pattern")
    given = [key for key in keys if getattr(config, key)]
    return f" (with {', '.join(given)})" if given else ""


def _is_a_piece(tensor: Tensor) -> bool:
    return tensor.size == 0 or len(tensor.shape) == 1


def _number_problems(
    weights: FileIO, tensors: tuple[Tensor, ...], numbers: LargestNumbers, config: PeftConfig | None
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
    return _magnitude_problems(weights, config, by_module, largest) if config is not None else []


def _magnitude_problems(
    weights: FileIO, config: PeftConfig, pairs: Mapping[str, Pair], largest: Mapping[str, float]
) -> list[str]:
    """What is too large in an adapter whose numbers are finite: it overflows in an engine, or drowns the base.

    The base's own weights are not read for this: they may be remote, quantised or many gigabytes. Trained base weights have a
    root mean square of 0.01 to 0.2, so the bound on a delta weight lies a factor of fifty and more above the base's norm.
    """
    budget = TimeBudget()
    scaled, overflowing, suspects = [], [], []
    for module, pair in pairs.items():
        if pair.a is None or pair.b is None:
            continue
        rank = pair.a.shape[0]
        try:
            budget.check()
            scaling = abs(config.scaling_of(module, rank, budget))
        except (ValueError, ArithmeticError) as error:
            return [f"{CONFIG}: {error}"]
        of_a, of_b = largest[pair.a.name], largest[pair.b.name]
        if scaling > MAX_SCALING:
            scaled.append(module)
        elif max(of_a, of_b, of_b * scaling) > MAX_NUMBER:
            overflowing.append(module)
        elif rank * scaling * of_a * of_b > MAX_DELTA_RMS:  # no element of the delta weight is larger than that
            suspects.append(module)
    problems = []
    if scaled:
        rule = "lora_alpha / sqrt(rank)" if config.use_rslora else "lora_alpha / rank"
        problems.append(
            f"{listed(scaled)} is scaled by more than {MAX_SCALING:.0f} ({rule}); set lora_alpha or alpha_pattern to what it "
            "was trained with"
        )
    if overflowing:
        problems.append(
            f"{listed(overflowing)} has weights over {MAX_NUMBER:.0f}, which overflow float16; the training diverged"
        )
    if drowning := modules_over(weights, config, suspects, MAX_DELTA_RMS) if suspects else []:
        problems.append(
            f"{listed(drowning)} changes the base by more than any base's own weights (root mean square over "
            f"{MAX_DELTA_RMS:.0f}); the training diverged, or lora_alpha is wrong"
        )
    return problems
