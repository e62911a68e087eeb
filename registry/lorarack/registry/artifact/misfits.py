"""What it means when a weight file's names or shapes are not those of the base, or not what PEFT and vLLM apply: the cause, and the
way out."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from lorarack.registry.artifact.other_formats import MLX_WAY
from lorarack.registry.artifact.weights import Pair, Tensor
from lorarack.registry.texts import listed
from lorarack.registry.values import ModuleTable

#: Parts of names that a wrapper around the model leaves, and how to save without it.
_WRAPPERS: tuple[tuple[str, str, str], ...] = (
    ("_orig_mod", "torch.compile", "save the model that was compiled (model._orig_mod)"),
    ("_fsdp_wrapped_module", "FSDP", "save the gathered model (accelerator.get_state_dict, summon_full_params)"),
    ("_fpw_module", "FSDP", "save the gathered model (accelerator.get_state_dict, summon_full_params)"),
    ("_checkpoint_wrapped_module", "activation checkpointing", "save the model inside the wrapper"),
    ("_forward_module", "Lightning", "save the model inside the wrapper"),
    ("module", "DistributedDataParallel or DeepSpeed", "save the model inside the wrapper (model.module)"),
)

_ADAPTER_NAME = re.compile(r"\.lora_(?:[AB]\.(?P<name>[^.]+)\.weight|embedding_[AB]\.(?P<embedding>[^.]+))$")
_LORA = re.compile(r"\.lora_(?:[AB]\.weight|embedding_[AB])$")
_WHOLE_EMBEDDING = re.compile(
    r"(?:^|\.)(?:embed_tokens|lm_head|wte|embed_out)(?:\.modules_to_save)?(?:\.[^.]+)?\.weight$"
)
_TINKER = re.compile(r"(?:^|\.)(?:unembed_tokens|experts\.w[123])(?:\.|$)")
TINKER_WAY = (
    "make PEFT's names of them with tinker_cookbook.weights.build_lora_adapter(base_model, adapter_path, output_path)"
)

_PREFIX = "base_model.model."
_MAX_CAUSES = 8
_HEADS = frozenset({"embed_tokens", "lm_head"})
#: Last parts of a name by which it is looked up under a longer one.
_PARTS = 4

Cause = tuple[Callable[[str], object], str]


def _ends(*ends: str) -> Callable[[str], object]:
    return lambda name: name.endswith(ends)


def _holds(*parts: str) -> Callable[[str], object]:
    return lambda name: any(part in name for part in parts)


_CAUSES: tuple[Cause, ...] = (
    (
        lambda name: (
            name.startswith(("lora_unet_", "lora_te", "unet.", "text_encoder.", "lycoris_")) or ".lora_down." in name
        ),
        "a LoRA for an image model has such names; vLLM serves LoRA on language models",
    ),
    (_ends(".lora_a", ".lora_b"), f"MLX writes such names; {MLX_WAY}"),
    (
        _ends(".lora_a.weight", ".lora_b.weight"),
        "torchtune names them so; save the adapter in PEFT's format with its HF checkpointer",
    ),
    (_TINKER.search, f"Tinker names them so; {TINKER_WAY}"),
    (_holds(".lora_magnitude_vector"), "it is DoRA's magnitude, and DoRA is not served; train with use_dora=False"),
    (
        _holds(".lora_velora_embed", ".lora_monteclora_sampler"),
        "it is needed only while VeLoRA or MonteCLoRA trains, and vLLM refuses the file for it; remove it "
        "(safetensors' load_file and save_file), the adapter is the same without it",
    ),
    (_holds(".lora_diag"), "it is KaSA's, which vLLM does not apply; train a plain LoRA"),
    (_holds(".lora_E", ".ranknum"), "it is AdaLoRA's, which vLLM does not apply; train a plain LoRA"),
    (_ends(".lora_B.bias", ".lora_A.bias"), "it is a LoRA bias, which vLLM does not apply; train with lora_bias=False"),
    (
        _holds(".trainable_tokens_", ".token_adapter."),
        "trained token embeddings are not served; train without trainable_token_indices",
    ),
    (
        _WHOLE_EMBEDDING.search,
        "it is a whole embedding or head, which vLLM does not take from an adapter; where it is the base's own, save with "
        "save_pretrained(…, save_embedding_layers=False), else train LoRA on embed_tokens and lm_head, without new tokens",
    ),
    (_holds(".modules_to_save.", ".original_module."), "it is a whole trained module; train without modules_to_save"),
    (
        _ends(".base_layer.weight", ".base_layer.bias"),
        "it is a weight of the base, as in model.state_dict(); save the adapter alone with model.save_pretrained",
    ),
    (
        lambda name: not re.search(r"lora", name, re.IGNORECASE) and name.endswith((".weight", ".bias")),
        "it is a whole weight, not an adapter's; save the adapter alone with PEFT's save_pretrained, or, if this is a whole "
        "model, add it with 'lorarack base add'",
    ),
)


class Places:
    """An index of a base's modules. Each question takes a few look-ups, however many modules and questions there are."""

    def __init__(self, table: ModuleTable) -> None:
        self._table = table
        self._by_end: dict[str, str] = {}
        self._last: dict[tuple[str, str], int] = {}
        self._below: defaultdict[str, set[str]] = defaultdict(set)
        for name in sorted(table, key=len, reverse=True):  # so of several the shortest stays
            parts = name.split(".")
            for count in range(1, min(_PARTS, len(parts)) + 1):
                self._by_end[".".join(parts[-count:])] = name
            for before, number, after in _numbered(parts):
                self._last[before, after] = max(number, self._last.get((before, after), 0))
            self._below[".".join(parts[:-1])].add(parts[-1])

    def prefix_of(self, module: str) -> str | None:
        """What stands before the module's name in the base, where it is there under a longer one."""
        full = self._by_end.get(".".join(module.split(".")[-_PARTS:]))
        return full.removesuffix(module) if full is not None and full.endswith(f".{module}") else None

    def prefix_before(self, module: str) -> str | None:
        """What stands before the base's name in the module's, where it is there under a shorter one."""
        parts = module.split(".")
        found = (start for start in range(1, min(len(parts), 2 * _PARTS)) if ".".join(parts[start:]) in self._table)
        start = next(found, None)
        return None if start is None else ".".join(parts[:start]) + "."

    def last_layer(self, module: str) -> int | None:
        """The base's last layer, where the module is of a layer behind it."""
        lasts = ((number, self._last.get((before, after))) for before, number, after in _numbered(module.split(".")))
        return next((last for number, last in lasts if last is not None and number > last), None)

    def beside(self, module: str) -> list[str]:
        """What the base has where the module would be."""
        return sorted(self._below.get(module.rpartition(".")[0], ()))


def unknown_tensor_problems(unknown: Iterable[Tensor]) -> list[str]:
    """One problem a cause for tensors that are no LoRA weights by their names."""
    causes = ((_cause(tensor.name), tensor.name) for tensor in unknown)
    return _by_cause(causes, "is no LoRA weight that vLLM would apply")


def unknown_module_problems(modules: Sequence[str], table: ModuleTable, base: str) -> list[str]:
    """One problem a cause for modules that have LoRA weights and are none of base ``base``."""
    places = Places(table)
    causes = ((_module_cause(module, places, base), module) for module in modules)
    return _by_cause(causes, f"is no module of base {base!r} that an adapter can sit on")


def shape_cause(pair: Pair, shape: tuple[int, int], base: str) -> str:
    """Why the matrices of ``pair`` do not fit a module of ``shape`` (out, in) of base ``base``."""
    a, b = pair.a.shape if pair.a else (), pair.b.shape if pair.b else ()
    begin = f"{pair.module}: lora_A {list(a)} and lora_B {list(b)}"
    inner, outer = pair.sides(shape)
    if len(a) != 2 or len(b) != 2:
        return f"{begin} do not share one rank"
    if (a[0], b[1], a[1]) == (inner, outer, b[0]) and (a[1], b[0]) != (inner, outer):
        return f"{begin} are transposed, as MLX has them; transpose both"
    if a[0] != b[1]:
        return f"{begin} do not share one rank"
    width = shape[1]
    rows, theirs = (a[1], inner) if pair.embedding else (b[0], outer)
    if pair.module.rpartition(".")[2] in _HEADS and rows != theirs and (b[0] if pair.embedding else a[1]) == width:
        return (
            f"{pair.module}: it has {rows} tokens, but base {base!r} has {theirs}; the vocabulary was resized for training, so "
            "train with the base's own tokenizer, or add the resized model with 'lorarack base add' and publish on that"
        )
    return (
        f"{pair.module}: lora_A takes {a[1]} and lora_B gives {b[0]}, but base {base!r} has {inner} and {outer} there; "
        "it was trained on another base"
    )


def _by_cause(causes: Iterable[tuple[str, str]], what: str) -> list[str]:
    """Names with one cause together; of very many causes the first few."""
    names: dict[str, list[str]] = {}
    left = 0
    for cause, name in causes:
        if cause in names or len(names) < _MAX_CAUSES:
            names.setdefault(cause, []).append(name)
        else:
            left += 1
    problems = [f"{listed(found)} {what}{cause}" for cause, found in names.items()]
    return [*problems, f"and {left} more names are wrong in other ways"] if left else problems


def _cause(name: str) -> str:
    if wrapped := _wrapper(name):
        return wrapped
    if found := _ADAPTER_NAME.search(name):
        inside = (found["name"] or found["embedding"])[:40]
        return (
            f": {inside!r} is the adapter's name inside, as in model.state_dict(); save the adapter with model.save_pretrained, or "
            f"take '.{inside}' out of the names (safetensors' load_file and save_file)"
        )
    known = next((why for is_cause, why in _CAUSES if is_cause(name)), None)
    if known:
        return f": {known}"
    if _LORA.search(name) and not name.startswith(_PREFIX):
        return (
            ": PEFT's prefix is missing, so PEFT would load nothing; save the adapter with model.save_pretrained, or put "
            "'base_model.model.' before each name (safetensors' load_file and save_file)"
        )
    return "; save the adapter again without it"


def _wrapper(name: str) -> str | None:
    parts = name.split(".")
    found = [wrapper for wrapper in _WRAPPERS if wrapper[0] in parts]
    if found:
        left = " and ".join(repr(f"{part}.") for part, _, _ in found)
        by = " and ".join(wrapper for _, wrapper, _ in found)
        return (
            f": {left} in its name is left by {by}; {found[-1][2]} with save_pretrained, or take it out of the names "
            "(safetensors' load_file and save_file)"
        )
    before, prefix, _ = name.partition(_PREFIX)
    if not prefix or not before.endswith("."):
        return None
    return (
        f": {before!r} stands before PEFT's prefix, left by a class around the model; save the model itself with "
        "save_pretrained, or take it out of the names (safetensors' load_file and save_file)"
    )


def _module_cause(module: str, places: Places, base: str) -> str:
    if wrapped := _wrapper(module):
        return wrapped
    if _TINKER.search(module):
        return f": Tinker names them so; {TINKER_WAY}"
    if prefix := places.prefix_of(module):
        return _prefix_cause(prefix, base)
    if extra := places.prefix_before(module):
        return (
            f": it is there without {extra!r}, so the adapter was trained on a model around this one; publish it on that "
            f"model, or, where that part is all that was trained, take {extra!r} out of the names (safetensors' load_file and "
            "save_file)"
        )
    last = places.last_layer(module)
    if last is not None:
        return f": its last layer there is {last}; the adapter was trained on a deeper model, name that with --base"
    beside = places.beside(module)
    if beside:
        return f": beside it the base has {listed(beside)}; the adapter was trained on the model in another form, or on another"
    return "; check that --base names the model it was trained on"


def _prefix_cause(prefix: str, base: str) -> str:
    rename = f"'base_model.model.{prefix}' for 'base_model.model.' in the names (safetensors' load_file and save_file)"
    if prefix == "model.":
        return (
            ": the adapter was trained on the model without its head (AutoModel), where names lack 'model.'; train on "
            f"AutoModelForCausalLM, or write {rename}"
        )
    return (
        f": there it is called {prefix + '…'!r}, so the adapter was trained on a part of base {base!r} alone; train on the whole, "
        f"or write {rename}"
    )


def _numbered(parts: list[str]) -> Iterator[tuple[str, int, str]]:
    """What stands before and behind the first number of a name, and the number."""
    for place, part in enumerate(parts):
        if part.isascii() and part.isdigit() and len(part) < 10:
            yield ".".join(parts[:place]), int(part), ".".join(parts[place + 1 :])
            return
