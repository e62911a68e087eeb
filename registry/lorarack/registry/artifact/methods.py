"""What an ``adapter_config.json`` is that does not say ``"peft_type": "LORA"``."""

from collections.abc import Mapping
from typing import Any

#: PEFT's methods that PEFT itself can turn into a LoRA (``supports_lora_conversion``).
_CONVERTIBLE = frozenset({
    "C3A", "DELORA", "FOURIERFT", "GRALORA", "HIRA", "LOHA", "LOKR", "MISS", "PSOFT", "RANDLORA", "TINYLORA", "UNILORA",
    "VBLORA", "VERA", "WAVEFT",
})  # fmt: skip


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


MLX_WAY = (
    "transpose each lora_a and lora_b into PEFT's lora_A.weight and lora_B.weight, and write lora_alpha = scale × rank, or "
    "train with PEFT"
)
