"""What vLLM's own LoRA layers do, as far as layers that are taken over lean on it: a fact a test, for the pinned version."""

import ast
import inspect
import textwrap

import pytest

pytestmark = [
    pytest.mark.torch,
    # vLLM's own import: torch.jit.script_method is deprecated, and it still uses it.
    pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning"),
]


def wrapped_kinds() -> set[type]:
    """Every class that vLLM wraps layers in for LoRA."""
    from vllm.lora import layers

    exported = (getattr(layers, name) for name in layers.__all__)
    return {kind for kind in exported if isinstance(kind, type) and issubclass(kind, layers.BaseLayerWithLoRA)}


def test_only_experts_have_a_set_mapping_of_their_own() -> None:
    """We replace the one of the base class; experts call it too, and are not ours."""
    own = {kind.__name__ for kind in wrapped_kinds() if "set_mapping" in vars(kind)}
    assert own == {"BaseLayerWithLoRA", "FusedMoEWithLoRA"}


def test_every_kind_is_taken_over_or_known_to_be_left() -> None:
    """A new kind would be right, and slow: decide."""
    from lorarack.server.cpu.layer_patch import LINEAR

    left = {kind.__name__ for kind in wrapped_kinds() - LINEAR if "Sharded" not in kind.__name__}
    assert left == {
        "BaseLayerWithLoRA", "ClassificationHeadWithLoRA", "FusedMoEWithLoRA", "FusedMoE3DWithLoRA",
        "LogitsProcessorWithLoRA", "VocabParallelEmbeddingWithLoRA",
    }  # fmt: skip


def test_loading_an_adapter_begins_by_emptying_the_slot() -> None:
    """`set_lora` calls `self.reset_lora(index)` first, which we follow to drop what the slot held."""
    from vllm.lora.layers import LogitsProcessorWithLoRA, VocabParallelEmbeddingWithLoRA

    from lorarack.server.cpu.layer_patch import LINEAR

    for kind in [*LINEAR, LogitsProcessorWithLoRA, VocabParallelEmbeddingWithLoRA]:
        (function,) = ast.parse(textwrap.dedent(inspect.getsource(kind.set_lora))).body
        assert isinstance(function, ast.FunctionDef)
        checks = (ast.Assert, ast.Expr)
        first = next(line for line in function.body if not isinstance(line, checks) or is_call(line))
        assert ast.unparse(first) == "self.reset_lora(index)", kind


def is_call(line: ast.stmt) -> bool:
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Call)
