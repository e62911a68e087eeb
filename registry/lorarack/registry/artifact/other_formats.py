"""Folders, repositories and files that are no PEFT adapter as they stand: what they are, and the way to one."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from lorarack.registry.artifact.manifest import CONFIG, WEIGHTS

MLX_WAY = (
    "transpose each lora_a and lora_b into PEFT's lora_A.weight and lora_B.weight, and write lora_alpha = scale × rank, or "
    "train with PEFT"
)

_PICKLE = "is a pickle, which can run code when opened; save it again with save_pretrained, which writes safetensors"

_BY_START = (
    (
        (b"version https://git-lfs.github.com/spec/", b"version https://hawser.github.com/spec/"),
        "is a Git LFS pointer, not the file; run 'git lfs pull' where it was cloned, or download it with 'hf download'",
    ),
    ((b"# xet version",), "is a Xet pointer, not the file; download it with 'hf download'"),
    (
        (b"<!DOCTYPE", b"<!doctype", b"<html", b"<HTML"),
        "is a web page, not the file; download the file itself, with 'hf download' from the Hub",
    ),
    ((b"PK\x03\x04",), _PICKLE),  # torch.save writes a zip archive
    ((b"GGUF",), "is a GGUF file, llama.cpp's format; publish the PEFT folder that it was converted from"),
    ((b"\x1f\x8b", b"\x28\xb5\x2f\xfd"), "is compressed; unpack it"),
)
#: Bytes that are looked at.
START = 48


#: PEFT's methods that PEFT itself can turn into a LoRA (``supports_lora_conversion``).
_CONVERTIBLE = frozenset({
    "C3A", "DELORA", "FOURIERFT", "GRALORA", "HIRA", "LOHA", "LOKR", "MISS", "PSOFT", "RANDLORA", "TINYLORA", "UNILORA",
    "VBLORA", "VERA", "WAVEFT",
})  # fmt: skip

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


def other_kind(start: bytes) -> str | None:
    """The end of a sentence about a file that begins with ``start``; None where it is no known kind of other file.

    Ask only about what could not be read as what it should be: a safetensors file may begin with any two bytes.
    """
    head = start[:START]
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05") and any(head[4:8]):
        return _PICKLE
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return next((what for starts, what in _BY_START if text.startswith(starts)), None)


def method_problem(config: Mapping[str, Any]) -> str:
    """Why the configuration is not of a LoRA adapter, and the way to one."""
    method = config.get("peft_type")
    if isinstance(method, str) and method:
        if method.upper() == "LORA":
            return f"its peft_type is {method!r}, which PEFT does not know; write 'LORA'"
        way = (
            "PEFT's save_as_lora makes a LoRA of it, an approximation of the rank that you choose"
            if method.upper() in _CONVERTIBLE
            else "train a LoRA"
        )
        return f"its peft_type is {method[:40]!r}; only LORA adapters are served; {way}"
    if {"fine_tune_type", "lora_parameters"} & config.keys():
        return f"its configuration is one of MLX, not of PEFT; {MLX_WAY}"
    if {"architectures", "model_type"} <= config.keys():
        return "its configuration is one of a whole model; 'lorarack base add' takes models, publish takes adapters"
    return "its peft_type is missing; only LORA adapters are served; save the adapter with PEFT's save_pretrained"


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
