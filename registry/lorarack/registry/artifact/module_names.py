"""What transformers 5 calls a module that has another name in the weight files, or in an adapter that an older transformers wrote.

Vision-language models were rearranged in transformers 4.52: the text model sits at ``model.language_model`` and the head at the
top, while published files, and adapters from before, keep the older names. Facts of the installed version, held to by a test.
"""

import re
from collections.abc import Iterable, Mapping
from functools import cache

from lorarack.registry.values import Base, ModuleTable

_Rules = tuple[tuple[str, str], ...]

#: LLaVA and all that were built on its plan.
_LLAVA: _Rules = (
    (r"^(model\.)?language_model\.lm_head(?=\.|$)", "lm_head"),
    (r"^(model\.)?language_model\.model\.", "model.language_model."),
    (r"^language_model\.", "model.language_model."),
    (r"^(vision_tower|vision_model|multi_modal_projector|image_newline|audio_tower)(?=\.|$)", r"model.\1"),
)
#: Qwen2-VL: the text model was `model` itself.
_QWEN: _Rules = (
    (r"^visual\.", "model.visual."),
    (r"^model\.(?!(language_model|visual)(\.|$))", "model.language_model."),
)

_BY_ARCHITECTURE: Mapping[str, _Rules] = {
    **dict.fromkeys(
        (
            "LlavaForConditionalGeneration", "LlavaNextForConditionalGeneration", "LlavaNextVideoForConditionalGeneration",
            "LlavaOnevisionForConditionalGeneration", "VipLlavaForConditionalGeneration", "Mistral3ForConditionalGeneration",
            "Gemma3ForConditionalGeneration", "PaliGemmaForConditionalGeneration", "AyaVisionForConditionalGeneration",
            "InternVLForConditionalGeneration", "AriaForConditionalGeneration", "GotOcr2ForConditionalGeneration",
            "Cohere2VisionForConditionalGeneration", "PerceptionLMForConditionalGeneration",
        ),
        _LLAVA,
    ),
    "MllamaForConditionalGeneration": _LLAVA,
    **dict.fromkeys(("Qwen2VLForConditionalGeneration", "Qwen2_5_VLForConditionalGeneration"), _QWEN),
}  # fmt: skip


def loaded_name(name: str, architecture: str) -> str:
    """The module's name in transformers 5; a name of today stays as it is."""
    for pattern, replacement in _rules(architecture):
        renamed, count = pattern.subn(replacement, name)
        if count:
            return renamed
    return name


def modules_as_named(base: Base, names: Iterable[str]) -> ModuleTable:
    """The base's modules, also under those of ``names`` that mean one of them by an older name."""
    older = {name: loaded_name(name, base.architecture) for name in names if name not in base.modules}
    return base.modules | {name: base.modules[today] for name, today in older.items() if today in base.modules}


@cache
def _rules(architecture: str) -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((re.compile(pattern), replacement) for pattern, replacement in _BY_ARCHITECTURE.get(architecture, ()))
