"""Serving many adapters from one vLLM engine over the registry.

Names are imported when they are asked for; vLLM only when a server starts.
"""

import importlib
import typing

if typing.TYPE_CHECKING:
    from lorarack.server.client import Chunk, Prompt, ask
    from lorarack.server.launch import plan, serve
    from lorarack.server.launch_plan import LaunchPlan, ServeOptions
    from lorarack.server.settings import CpuLora

__all__ = ["Chunk", "CpuLora", "LaunchPlan", "Prompt", "ServeOptions", "ask", "plan", "serve"]

_MODULES = {
    "client": "Chunk Prompt ask",
    "launch": "plan serve",
    "launch_plan": "LaunchPlan ServeOptions",
    "settings": "CpuLora",
}
_WHERE = {name: module for module, names in _MODULES.items() for name in names.split()}


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found = getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
    return found


def __dir__() -> list[str]:
    return __all__
