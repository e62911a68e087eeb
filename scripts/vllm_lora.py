"""Writes the registry's ``vllm_lora.json`` from the installed vLLM, when the pin moves; a test compares them."""

import json
import sys
from pathlib import Path

OUT = Path(__file__).parents[1] / "registry/lorarack/registry/base_model/vllm_lora.json"


def facts() -> tuple[set[str], set[str]]:
    """Architectures that the installed vLLM serves with LoRA, and without. Those that cannot be imported here are in neither."""
    from vllm.model_executor.models.interfaces import supports_lora
    from vllm.model_executor.models.registry import ModelRegistry

    taking: set[str] = set()
    without: set[str] = set()
    for name in sorted(ModelRegistry.models):
        try:
            kind = ModelRegistry.models[name].load_model_cls()
        except Exception as error:  # noqa: BLE001 - some need libraries or hardware that are not here
            sys.stderr.write(f"{name}: {type(error).__name__}: {error}\n")
            continue
        (taking if supports_lora(kind) else without).add(name)
    return taking, without


def version_of_vllm() -> str:
    """Its public version, whichever wheel it came in."""
    import vllm

    return str(vllm.__version__).partition("+")[0]


def main() -> None:
    """Write the file, or with ``--check`` say what it has otherwise."""
    taking, without = facts()
    text = json.dumps({"vllm": version_of_vllm(), "no_lora": sorted(without)}, indent=1) + "\n"
    if "--check" in sys.argv:
        known = json.loads(OUT.read_text())
        other = taking.intersection(known["no_lora"]) | without.difference(known["no_lora"])
        if other or known["vllm"] != version_of_vllm():
            sys.exit(
                f"vLLM {version_of_vllm()} says otherwise of {sorted(other)} than the file does, which is of {known['vllm']}"
            )
        return
    OUT.write_text(text)
    sys.stdout.write(f"{len(taking)} with, {len(without)} without LoRA\n")


if __name__ == "__main__":
    main()
