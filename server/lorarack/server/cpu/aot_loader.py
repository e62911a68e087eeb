"""vLLM's compiled models on a CPU can be loaded again: a function of torch that is changed at run time."""

from typing import Any

import torch


def patch_aot_loader() -> None:
    """Give functions that were compiled ahead of time and loaded from disk the method that vLLM calls on them.

    vLLM's own compiler returns objects with ``finalize_loading``; on CPUs the artefact is inductor's plain function, which needs
    no finishing, and vLLM 0.32 takes the missing attribute for a damaged file and compiles again at every start.
    """
    original = torch.compiler.load_compiled_function
    if original.__module__ == __name__:
        return  # vLLM may load its plugins more than once

    def load_compiled_function(*args: Any, **kwargs: Any) -> Any:
        loaded = original(*args, **kwargs)
        compiled = loaded._artifacts.compiled_fn
        if not hasattr(compiled, "finalize_loading"):
            compiled.finalize_loading = lambda vllm_config: None
        return loaded

    torch.compiler.load_compiled_function = load_compiled_function
