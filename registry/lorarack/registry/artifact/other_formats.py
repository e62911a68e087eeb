"""Folders and repositories that are no PEFT adapter as they stand: what they are, told by file names, and the way to one."""

import re
from collections.abc import Callable, Collection, Sequence

from lorarack.registry.artifact.manifest import CONFIG, WEIGHTS
from lorarack.registry.artifact.methods import MLX_WAY

_SHARD = re.compile(r"adapter_model-\d+-of-(\d+)\.(safetensors|bin)")
_CHECKPOINT = re.compile(r"checkpoint-(\d+)")
_PICKLED = frozenset({"adapter_model.bin", "adapter_model.pt", "adapter_model.pth", "pytorch_model.bin"})
_WHOLE_MODEL = re.compile(r"model(-\d+-of-\d+)?\.safetensors(\.index\.json)?")
_ARCHIVE = (".tar", ".tar.gz", ".tgz", ".zip", ".tar.zst")
_SHOWN = 3

Names = Collection[str]


def missing_problems(names: Names, subfolders: Sequence[str], hint: Callable[[str], str]) -> list[str]:
    """Why what has files of these ``names`` is not an adapter, if so.

    Args:
        names: what lies at the top.
        subfolders: places below it that hold a configuration.
        hint: how to name such a place.
    """
    problems = []
    if CONFIG not in names:
        problems.append(_without_config(names, subfolders, hint))
    if WEIGHTS not in names:
        problems.append(_without_weights(names))
    return list(dict.fromkeys(problems))


def newest_first(subfolders: Sequence[str]) -> list[str]:
    """Checkpoints by their number, the newest first; then all others by name."""

    def order(place: str) -> tuple[int, str]:
        found = _CHECKPOINT.fullmatch(place.rpartition("/")[2])
        return (-int(found[1]) if found else 1), place

    return sorted(subfolders, key=order)


def _without_config(names: Names, subfolders: Sequence[str], hint: Callable[[str], str]) -> str:
    if subfolders:
        best, *others = newest_first(subfolders)
        more = f" (others: {_listed(others)})" if others else ""
        return f"it has no {CONFIG}; give the folder that PEFT's save_pretrained wrote, {hint(best)}{more}"
    kind = next((way for is_kind, way in _KINDS if is_kind(names)), None)
    return kind or f"it has no {CONFIG}; give the folder that PEFT's save_pretrained wrote"


def _without_weights(names: Names) -> str:
    kind = next((way for is_kind, way in _KINDS if is_kind(names)), None)
    if kind:
        return kind
    if shards := sorted(name for name in names if _SHARD.fullmatch(name)):
        return (
            f"its weights are spread over {len(shards)} files ({_listed(shards)}), and PEFT and vLLM read {WEIGHTS} alone; join "
            "them with safetensors' load_file and save_file"
        )
    if pickled := next((name for name in sorted(_PICKLED) if name in names), None):
        return (
            f"its weights are a pickle ({pickled}), which can run code when opened; "
            "save them again with save_pretrained(…, safe_serialization=True)"
        )
    if f"{WEIGHTS}.index.json" in names:
        return f"it has the index of weights that are spread over several files, but not the files; join them into {WEIGHTS}"
    others = sorted(name for name in names if name.endswith(".safetensors"))
    if others and CONFIG in names:
        return f"it has no {WEIGHTS}, which is the name that PEFT and vLLM read; if {_listed(others)} is that file, rename it"
    return f"it has no {WEIGHTS}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(repr(name[:100]) for name in names[:_SHOWN]) + more


def _has(*wanted: str) -> Callable[[Names], bool]:
    return lambda names: any(name in names for name in wanted)


def _whole_model(names: Names) -> bool:
    return CONFIG not in names and "config.json" in names and any(_WHOLE_MODEL.fullmatch(name) for name in names)


def _ends(*ends: str) -> Callable[[Names], bool]:
    return lambda names: (
        not any(name.endswith(".safetensors") for name in names) and any(name.endswith(ends) for name in names)
    )


_KINDS: tuple[tuple[Callable[[Names], bool], str], ...] = (
    (_has("adapters.safetensors", "adapters.npz"), f"it is an adapter of MLX, not of PEFT; {MLX_WAY}"),
    (
        _has("pytorch_lora_weights.safetensors", "model_index.json"),
        "it is a LoRA for an image model as diffusers writes it; vLLM serves LoRA on language models",
    ),
    (_ends(".gguf"), "it is a GGUF file, llama.cpp's format; publish the PEFT folder that it was converted from"),
    (
        _whole_model,
        "it is a whole model, not an adapter; add it with 'lorarack base add', or publish the adapter that was merged into it",
    ),
    (_ends(*_ARCHIVE), "it holds an archive; unpack it and give the folder that comes out"),
    (
        _has("zero_to_fp32.py", "pytorch_model_fsdp.bin", "pytorch_model_fsdp_0", ".metadata"),
        "its weights are in the shards of DeepSpeed or FSDP; gather them (zero_to_fp32.py, accelerate merge-weights), or save "
        "with save_pretrained from the gathered model",
    ),
)
