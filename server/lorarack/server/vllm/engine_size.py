"""What vLLM makes of a model and the flags, as far as memory depends on it. Nothing is loaded but the configuration."""

from pathlib import Path
from typing import Any

from lorarack.registry.errors import EngineError
from lorarack.server.engine_errors import error_line
from lorarack.server.kv_cache import EngineSize

_FULL = frozenset({"attention", "full_attention"})


def engine_size(args: Any, parameters: int) -> EngineSize:
    """The size of the engine for these parsed flags and a model of ``parameters`` parameters.

    Raises:
        EngineError: vLLM cannot serve this model so.
    """
    import vllm
    from vllm.usage.usage_lib import UsageContext

    engine_args = vllm.AsyncEngineArgs.from_cli_args(args)
    try:
        model = engine_args.create_model_config()
    except Exception as error:
        raise EngineError(f"vLLM cannot serve this model: {error_line(error)}") from error
    workers = engine_args.tensor_parallel_size * engine_args.pipeline_parallel_size
    _, most = engine_args.get_batch_defaults(workers)
    return EngineSize(
        weight_bytes=_weight_bytes(model, parameters),
        token_bytes=_token_bytes(model, args.kv_cache_dtype),
        max_model_len=model.max_model_len,
        max_num_seqs=engine_args.max_num_seqs or most[UsageContext.OPENAI_API_SERVER],
        workers=workers,
        engines=engine_args.data_parallel_size_local or engine_args.data_parallel_size,
    )


def _weight_bytes(model: Any, parameters: int) -> int:
    """Quantised weights take what their files take; others what the chosen number format makes of them."""
    files = list(Path(model.model).glob("*.safetensors")) if model.quantization else []
    return sum(file.stat().st_size for file in files) or parameters * int(model.dtype.itemsize)


def _token_bytes(model: Any, cache_dtype: str) -> int | None:
    """None unless each layer keeps keys and values of every token."""
    config = model.hf_text_config
    kinds = set(getattr(config, "layer_types", None) or ())
    other = model.use_mla or model.is_hybrid or model.is_attention_free or model.is_encoder_decoder
    if other or model.get_sliding_window() or not kinds <= _FULL or cache_dtype not in ("auto", "float16", "bfloat16"):
        return None
    each = 2 if cache_dtype != "auto" else int(model.dtype.itemsize)
    return 2 * model.get_total_num_hidden_layers() * model.get_total_num_kv_heads() * model.get_head_size() * each
