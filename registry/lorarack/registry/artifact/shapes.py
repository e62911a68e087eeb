"""Whether an adapter's matrices fit the base's modules and the configuration's ranks; where not, why."""

from collections.abc import Iterable, Iterator, Sequence

from lorarack.registry.artifact.header import Tensor
from lorarack.registry.artifact.manifest import CONFIG
from lorarack.registry.artifact.patterns import TimeBudget
from lorarack.registry.artifact.peft_config import PeftConfig
from lorarack.registry.artifact.tensor_names import module_problems, unknown_tensor_problems
from lorarack.registry.artifact.tensors import Pair, Pairs
from lorarack.registry.artifact.texts import listed, shortened
from lorarack.registry.values import ModuleTable

_HEADS = frozenset({"embed_tokens", "lm_head"})


def pair_problems(pairs: Pairs, table: ModuleTable, base: str) -> list[str]:
    """What is wrong with names, and with shapes against the base's ``table``."""
    modules = pairs.by_module.values()
    problems = unknown_tensor_problems(pairs.unknown)
    half = [pair.module for pair in modules if not (pair.a and pair.b)]
    if half:
        problems.append(f"{listed(half)} has lora_A or lora_B only; the file is not whole, save the adapter again")
    problems += module_problems([pair.module for pair in modules if pair.module not in table], table, base)
    whole = [(pair.module, pair.embedding, pair.a, pair.b) for pair in modules if pair.a and pair.b]
    empty = [module for module, _, a, b in whole if any(_is_a_piece(tensor) for tensor in (a, b))]
    if empty:
        problems.append(
            f"{listed(empty)} has empty or flat matrices, as a model sharded by ZeRO-3 or FSDP leaves them; gather it before "
            "saving (stage3_gather_16bit_weights_on_model_save, accelerator.get_state_dict) and save again"
        )
    fitting = ((m, e, a, b) for m, e, a, b in whole if m in table and m not in set(empty))
    return problems + shortened(
        [problem for m, e, a, b in fitting if (problem := _shape_problem(m, e, a.shape, b.shape, table[m], base))]
    )


def config_problems(config: PeftConfig, pairs: Pairs, table: ModuleTable) -> list[str]:
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


def _shape_problem(
    module: str, embedding: bool, a: Sequence[int], b: Sequence[int], shape: tuple[int, int], base: str
) -> str | None:
    out, width = shape
    # An embedding's A looks rows up (rank, rows), its B makes the width (width, rank).
    inner, outer = (out, width) if embedding else (width, out)
    if len(a) != 2 or len(b) != 2:
        return f"{module}: lora_A {list(a)} and lora_B {list(b)} do not share one rank"
    if (a[0], b[1], a[1]) == (inner, outer, b[0]) and (a[1], b[0]) != (inner, outer):
        return f"{module}: lora_A {list(a)} and lora_B {list(b)} are transposed, as MLX has them; transpose both"
    if a[0] != b[1]:
        return f"{module}: lora_A {list(a)} and lora_B {list(b)} do not share one rank"
    if (a[1], b[0]) == (inner, outer):
        return None
    rows, theirs = (a[1], inner) if embedding else (b[0], outer)
    if module.rpartition(".")[2] in _HEADS and rows != theirs and (b[0] if embedding else a[1]) == width:
        return (
            f"{module}: it has {rows} tokens, but base {base!r} has {theirs}; the vocabulary was resized for training, so train "
            "with the base's own tokenizer, or add the resized model with 'lorarack base add' and publish on that"
        )
    return (
        f"{module}: lora_A takes {a[1]} and lora_B gives {b[0]}, but base {base!r} has {inner} and {outer} there; "
        "it was trained on another base"
    )


def rank_of(pairs: Iterable[Pair]) -> int:
    """The largest rank of any module."""
    return max(pair.a.shape[0] for pair in pairs if pair.a)
