"""Writes the registry's ``config_defaults.json`` from the installed transformers, when the pin moves; a test compares them."""

import inspect
import json
import sys
from pathlib import Path
from typing import Any

OUT = Path(__file__).parents[1] / "registry/lorarack/registry/base_model/config_defaults.json"


def defaults() -> dict[str, Any]:
    """Scalar defaults that are not None, by model type; of nested configurations without a type of their own by TYPE.KEY."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    found: dict[str, Any] = {}
    for model_type in sorted(CONFIG_MAPPING.keys()):
        try:
            kind = CONFIG_MAPPING[model_type]
        except Exception:  # noqa: BLE001, S112 - some need libraries that are not installed
            continue
        found[model_type] = _of_class(kind)
        for key, nested in (getattr(kind, "sub_configs", None) or {}).items():
            if inspect.isclass(nested) and nested.__name__ != "AutoConfig":
                found[f"{model_type}.{key}"] = _of_class(nested)
    return {name: values for name, values in found.items() if values}


def _of_class(kind: Any) -> dict[str, Any]:
    from lorarack.registry.base_model.function_config import _DROPOUT, _WITHOUT_EFFECT, _plain

    values = {}
    for name, parameter in inspect.signature(kind.__init__).parameters.items():
        default = parameter.default
        if name in _WITHOUT_EFFECT or _DROPOUT.search(name):
            continue
        if isinstance(default, bool | int | float | str):
            values[name] = _plain(default)
        elif isinstance(default, tuple | list) and all(isinstance(item, int | float | str) for item in default):
            values[name] = [_plain(item) for item in default]
    theta = getattr(kind, "default_theta", None)
    if isinstance(theta, int | float):
        values["rope_theta"] = _plain(theta)
    return values


def main() -> None:
    """Write the file."""
    import transformers

    data = {"transformers": transformers.__version__, "defaults": defaults()}
    OUT.write_text(json.dumps(data, separators=(",", ":"), sort_keys=True) + "\n")
    sys.stdout.write(f"{len(data['defaults'])} kinds, {OUT.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main()
