"""The layers that vLLM wraps for LoRA, built by vLLM, taken over: base + B A x in mixed batches, whatever the layer's kind."""

from typing import Any

import pytest
import torch
from tests.server.cpu.wrapped import (
    HIDDEN,
    LINEAR_KINDS,
    MAX_RANK,
    SLOTS,
    Adapter,
    Kind,
    lora_config,
    tell,
    wrap,
)

pytestmark = [
    pytest.mark.torch,
    # vLLM's own import: torch.jit.script_method is deprecated, and it still uses it.
    pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning"),
]

TYPES = (torch.float32, torch.bfloat16)
MIXED = (0, -1, 3, 3, 3, -1, 1, 0, 1, 1, -1, 2)
#: One rounding of s and one of the result, against sums of a size of about 8.
CLOSE = {torch.float32: {"rtol": 1e-5, "atol": 1e-5}, torch.bfloat16: {"rtol": 2.0**-7, "atol": 2.0**-4}}


def adopt(kind: Kind, dtype: torch.dtype, wrapper: Any) -> Any:
    layer = wrap(kind, dtype)
    layer.set_mapping(wrapper)
    layer.base_layer.quant_method.process_weights_after_loading(layer.base_layer)
    return layer


def random_input(dtype: torch.dtype, rows: int = len(MIXED)) -> torch.Tensor:
    return torch.randn(rows, HIDDEN, generator=torch.Generator().manual_seed(5)).to(dtype)


def assert_added(answer: torch.Tensor, base: torch.Tensor, x: torch.Tensor, adapters: dict[int, Adapter]) -> None:
    """Row by row, by the mapping in MIXED."""
    for row, slot in enumerate(MIXED):
        if slot not in adapters:
            assert torch.equal(answer[row], base[row]), f"row {row} has no adapter"
            continue
        wanted = base[row].double() + adapters[slot].product @ x[row].double()
        torch.testing.assert_close(answer[row].double(), wanted, **CLOSE[answer.dtype])
        assert not torch.equal(answer[row], base[row])


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("kind", LINEAR_KINDS, ids=lambda kind: kind.name)
def test_linear_layers_add_each_rows_own_adapter(kind: Kind, dtype: torch.dtype, wrapper: Any) -> None:
    """Adapters of different ranks, with parts left alone; then one replaced by a smaller one, and one gone."""
    layer = adopt(kind, dtype, wrapper)
    assert type(layer.punica_wrapper).__name__ == "AddLinear"
    adapters = {slot: kind.adapter(rank, slot, dtype) for slot, rank in ((0, 16), (1, 7), (3, 8))}
    for slot, adapter in adapters.items():
        layer.set_lora(slot, adapter.a, adapter.b)
    x = random_input(dtype)
    base = layer.base_layer(x)[0]
    tell(wrapper, MIXED)
    assert_added(layer(x)[0], base, x, adapters)

    adapters[0] = kind.adapter(2, 4, dtype)
    layer.set_lora(0, adapters[0].a, adapters[0].b)
    layer.reset_lora(3)
    del adapters[3]
    assert_added(layer(x)[0], base, x, adapters)


@pytest.mark.parametrize("dtype", TYPES)
def test_layers_that_the_kernel_does_not_suit_are_added_by_torch(dtype: torch.dtype, wrapper: Any) -> None:
    """Its inputs are no multiple of 8."""
    from tests.server.cpu.wrapped import linear

    kind = Kind("narrow", linear("ReplicatedLinear", HIDDEN - 1, 10), "ReplicatedLinearWithLoRA", (10,))
    layer = adopt(kind, dtype, wrapper)
    assert type(layer.punica_wrapper).__name__ == "AddLinearTorch"
    adapter = kind.adapter(8, 1, dtype)
    a = adapter.a[:, :-1].contiguous()
    layer.set_lora(1, a, adapter.b)
    x = random_input(dtype)[:, :-1].contiguous()
    tell(wrapper, MIXED)
    cut = {1: Adapter(a, adapter.b, adapter.b.double() @ a.double())}
    assert_added(layer(x)[0], layer.base_layer(x)[0], x, cut)


@pytest.mark.parametrize("kind", LINEAR_KINDS, ids=lambda kind: kind.name)
def test_vllms_stacked_weights_shrink_to_one_slot(kind: Kind, wrapper: Any) -> None:
    """They keep their shape, which vLLM reads, and lose the memory of all slots but one."""
    plain, layer = wrap(kind, torch.float32), adopt(kind, torch.float32, wrapper)
    for name in ("lora_a_stacked", "lora_b_stacked"):
        for before, after in zip(getattr(plain, name), getattr(layer, name), strict=True):
            assert after.shape == before.shape
            assert after.untyped_storage().nbytes() * SLOTS == before.untyped_storage().nbytes()


@pytest.mark.parametrize("dtype", TYPES)
def test_rows_with_an_extra_axis(dtype: torch.dtype, wrapper: Any) -> None:
    """The Transformers backend passes (1, rows, hidden)."""
    kind = LINEAR_KINDS[0]
    layer, adapter = adopt(kind, dtype, wrapper), kind.adapter(5, 1, dtype)
    layer.set_lora(3, adapter.a, adapter.b)
    x = random_input(dtype)
    tell(wrapper, MIXED)
    answer = layer(x[None])[0]
    assert answer.shape == (1, len(MIXED), 40)
    assert_added(answer[0], layer.base_layer(x[None])[0][0], x, {3: adapter})


def test_a_kind_that_we_do_not_know_is_left_to_the_grouped_arithmetic(wrapper: Any) -> None:
    """A subclass may do something else with its weights; it is still right."""
    from vllm.lora.layers import ColumnParallelLinearWithLoRA

    class Other(ColumnParallelLinearWithLoRA):
        pass

    kind = LINEAR_KINDS[0]
    layer = Other(wrap(kind, torch.float32).base_layer)
    layer.create_lora_weights(SLOTS, lora_config(torch.float32))
    layer.set_mapping(wrapper)
    layer.base_layer.quant_method.process_weights_after_loading(layer.base_layer)
    assert layer.punica_wrapper is wrapper
    adapters = {slot: kind.adapter(8, slot, torch.float32) for slot in (0, 3)}
    for slot, adapter in adapters.items():
        layer.set_lora(slot, adapter.a, adapter.b)
    x = random_input(torch.float32)
    tell(wrapper, MIXED)
    assert_added(layer(x)[0], layer.base_layer(x)[0], x, adapters)


def test_another_wrapper_is_taken_as_vllm_takes_it(wrapper: Any) -> None:
    """`set_mapping` is replaced for all layers, and does nothing new for wrappers that are not ours."""
    layer, other = wrap(LINEAR_KINDS[0], torch.float32), object()
    layer.set_mapping(other)
    assert layer.punica_wrapper is other
    assert layer.lora_a_stacked[0].untyped_storage().nbytes() == SLOTS * MAX_RANK * HIDDEN * 4


@pytest.mark.parametrize("dtype", TYPES)
def test_logits(dtype: torch.dtype, wrapper: Any) -> None:
    """One row per request; the vocabulary of 50 is padded in the head."""
    from vllm.lora.utils import from_layer_logits_processor
    from vllm.model_executor.layers.logits_processor import LogitsProcessor
    from vllm.model_executor.layers.vocab_parallel_embedding import ParallelLMHead

    head = ParallelLMHead(50, HIDDEN, params_dtype=dtype)
    head.weight.data.copy_(torch.randn(head.weight.shape, generator=torch.Generator().manual_seed(1)) / 4)
    processor = LogitsProcessor(50)
    layer = from_layer_logits_processor(processor, head, SLOTS, lora_config(dtype))
    layer.set_mapping(wrapper)
    assert layer.lora_b_stacked.untyped_storage().nbytes() == 50 * MAX_RANK * dtype.itemsize
    head.quant_method.process_weights_after_loading(head)
    kind = Kind("head", lambda: None, "", (50,))
    adapters = {slot: kind.adapter(rank, slot, dtype) for slot, rank in ((0, 16), (3, 5))}
    for slot, adapter in adapters.items():
        layer.set_lora(slot, adapter.a, adapter.b)
    x = random_input(dtype)
    tell(wrapper, tuple(slot for slot in MIXED for _ in range(3)), requests=MIXED, vocabulary=50)
    base = processor(head, x)
    assert_added(layer(head, x), base, x, adapters)

    tell(wrapper, MIXED, requests=(0, 3), vocabulary=50)  # prompt logprobs: a window of the step's tokens
    window = base[2:5].double() + x[2:5].double() @ adapters[3].product.T
    torch.testing.assert_close(layer(head, x[2:5]).double(), window, **CLOSE[dtype])

    layer.reset_lora(3)
    tell(wrapper, MIXED, vocabulary=50)
    assert_added(layer(head, x), base, x, {0: adapters[0]})


@pytest.mark.parametrize("dtype", TYPES)
def test_embeddings(dtype: torch.dtype, wrapper: Any) -> None:
    """Tokens are looked up in the A of their row's slot; rows behind the mapping are padding."""
    from vllm.lora.utils import from_layer
    from vllm.model_executor.layers.vocab_parallel_embedding import VocabParallelEmbedding

    base = VocabParallelEmbedding(50, HIDDEN, params_dtype=dtype)
    base.weight.data.copy_(torch.randn(base.weight.shape, generator=torch.Generator().manual_seed(1)))
    layer = from_layer(base, SLOTS, lora_config(dtype), [])
    layer.set_mapping(wrapper)
    assert type(layer.punica_wrapper).__name__ == "AddEmbedding"
    source = torch.Generator().manual_seed(2)
    adapters = {}
    for slot, rank in ((0, 16), (1, 3), (3, 8)):
        a = (torch.randn(rank, 50, generator=source) / 2).to(dtype)
        b = (torch.randn(HIDDEN, rank, generator=source) / 2).to(dtype)
        layer.set_lora(slot, a, b)
        adapters[slot] = Adapter(a, b, b.double() @ a.double())
    tokens = torch.randint(0, 50, (len(MIXED) + 4,), generator=source)
    one_hot = torch.nn.functional.one_hot(tokens, 50)
    tell(wrapper, MIXED, vocabulary=50)
    answer = layer(tokens)
    assert_added(answer, base(tokens), one_hot, adapters)
    assert torch.equal(answer[len(MIXED) :], base(tokens)[len(MIXED) :])
    layer.reset_lora(0)
    del adapters[0]
    assert_added(layer(tokens), base(tokens), one_hot, adapters)


def test_a_compiled_graph_keeps_the_operation_and_copies_nothing(wrapper: Any) -> None:
    """One graph, in which y changes in place; it holds for other batches, other adapters and other sizes."""
    from torch._inductor.utils import run_and_get_code

    kind = next(kind for kind in LINEAR_KINDS if kind.name == "qkv, three parts")
    layer, adapter = adopt(kind, torch.float32, wrapper), kind.adapter(8, 1, torch.float32)
    layer.set_lora(0, adapter.a, adapter.b)
    x = random_input(torch.float32)
    tell(wrapper, MIXED)
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    compiled = torch.compile(lambda x: layer(x)[0], fullgraph=True, dynamic=True)
    with torch.no_grad():
        answer, (code,) = run_and_get_code(compiled, x)
        assert_added(answer, layer.base_layer(x)[0], x, {0: adapter})
        assert code.count("torch.ops.lorarack.add_lora.default(") == 1
        assert "clone" not in code
        assert "copy" not in code.split("def call")[1]

        other = kind.adapter(3, 2, torch.float32)
        layer.set_lora(3, other.a, other.b)
        assert_added(compiled(x), layer.base_layer(x)[0], x, {0: adapter, 3: other})
        longer = torch.cat([x, x])
        assert_added(compiled(longer)[: len(MIXED)], layer.base_layer(longer)[0], x, {0: adapter, 3: other})
        assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
    torch._dynamo.reset()
