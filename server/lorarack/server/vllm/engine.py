"""vLLM's engine as an :class:`~lorarack.server.engine_port.EnginePort`."""

from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

from vllm.lora.request import LoRARequest
from vllm.platforms import current_platform

from lorarack.registry.errors import EngineError
from lorarack.server.adapter_image import Layout, Part
from lorarack.server.engine_errors import error_line
from lorarack.server.limits import EMBEDDINGS, Limits
from lorarack.server.vllm.lora_path import load_path, request_path


class VllmEngine:
    """The engine client of one API process, and the names that its routes accept."""

    def __init__(self, engine_client: Any, models: Any) -> None:
        self._client = engine_client
        self._models = models

    async def load(self, name: str, digest: str, engine_id: int, copy: IO[bytes]) -> None:
        """Load the adapter and let requests name it. The engine opens ``copy`` for itself; the caller may close it.

        Raises:
            EngineError: vLLM would not take it.
        """
        # Never `load_inplace`: it stays on the request and has the files read at every step.
        request = LoRARequest(lora_name=name, lora_int_id=engine_id, lora_path=load_path(copy.fileno()))
        try:
            await self._client.add_lora(request)
        except Exception as error:
            raise EngineError(f"vLLM could not load {name}: {error_line(error)}") from error
        self._models.lora_requests[name] = LoRARequest(
            lora_name=name, lora_int_id=engine_id, lora_path=request_path(digest)
        )

    async def unload(self, engine_id: int) -> None:
        """Let no request name the adapter any more and free its memory.

        Raises:
            EngineError: vLLM failed at it, or still has the adapter afterwards.
        """
        requests = self._models.lora_requests
        for name in [name for name, request in requests.items() if request.lora_int_id == engine_id]:
            del requests[name]
        try:
            await self._client.remove_lora(engine_id)
            left = await self._client.list_loras()
        except Exception as error:
            raise EngineError(f"vLLM could not remove the adapter {engine_id}: {error_line(error)}") from error
        if engine_id in left:
            raise EngineError(f"vLLM still has the adapter {engine_id} after its removal; its memory is not free.")

    async def list(self) -> frozenset[int]:
        """Engine ids of the adapters in host memory.

        Raises:
            EngineError: vLLM would not say.
        """
        try:
            return frozenset(await self._client.list_loras())
        except Exception as error:
            raise EngineError(f"vLLM does not answer: {error_line(error)}") from error


async def layout_of(engine_client: Any, vllm_config: Any) -> Layout | None:
    """How adapters are packed for the engine; None: it takes the tensors as published."""
    if not current_platform.is_cpu() or vllm_config.parallel_config.world_size > 1:
        return None
    found = await engine_client.collective_rpc("lorarack_layout")
    if not found or found[0] is None or any(other != found[0] for other in found):
        return None
    return Layout(
        kernel=Path(found[0]["kernel"]),
        bfloat16=found[0]["bfloat16"],
        max_rank=found[0]["max_rank"],
        parts={name: Part(*numbers) for name, numbers in found[0]["parts"].items()},
    )


def limits_of(vllm_config: Any, base: str, fingerprint: str, originals: Iterable[str] = ()) -> Limits:
    """What an engine of this configuration can serve. Read from the configuration that holds, not from flags.

    Raises:
        EngineError: it was started without LoRA.
    """
    lora = vllm_config.lora_config
    if lora is None:
        raise EngineError("vLLM was started without LoRA; leave --enable-lora on.")
    return Limits(
        base=base,
        fingerprint=fingerprint,
        max_rank=lora.max_lora_rank,
        target_modules=frozenset(lora.target_modules) if lora.target_modules is not None else None,
        embeddings=_adaptable_embeddings(vllm_config.model_config),
        originals=frozenset(originals),
        max_model_len=vllm_config.model_config.max_model_len,
        dtype=str(vllm_config.model_config.dtype).removeprefix("torch."),
    )


def rows_of(vllm_config: Any, api_processes: int | None) -> int:
    """Requests that the engines compute at once, of which each of the API processes gets its share."""
    engines = vllm_config.parallel_config.data_parallel_size
    return max(1, vllm_config.scheduler_config.max_num_seqs * engines // (api_processes or engines))


def _adaptable_embeddings(model_config: Any) -> frozenset[str]:
    """The embedding modules on which vLLM's class for this model takes adapters."""
    model_class, _ = model_config.registry.resolve_model_cls(model_config.architectures, model_config)
    return EMBEDDINGS & set(getattr(model_class, "embedding_modules", None) or ())
