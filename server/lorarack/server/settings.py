"""Settings that `lorarack serve` passes to the processes that vLLM starts, in one environment variable.

vLLM loads our plugins in every process of every server in this environment, also in a plain `vllm serve`. They do nothing
unless this variable is there. It holds no secret: environments can be read by other processes of the same user.
"""

import os
from collections.abc import Mapping
from enum import StrEnum
from typing import Self

from pydantic import Field, ValidationError

from lorarack.registry.errors import EngineError
from lorarack.registry.value import InputValue, Value

#: Name of the environment variable.
VARIABLE = "LORARACK_SERVING"


class CpuLora(StrEnum):
    """How LoRA is computed on a CPU: each is right, the later ones are slower."""

    KERNEL = "kernel"
    TORCH = "torch"
    OFF = "off"


class AdmissionLimits(InputValue):
    """What one API process lets into the engine. None: as much as comes."""

    code = "bad_limit"

    max_running: int | None = Field(default=None, ge=1, description="requests at once; None: by the engine's rows")
    max_waiting: int | None = Field(default=None, ge=1, description="requests of one adapter that wait for their turn")
    adapter_concurrency: int | None = Field(default=None, ge=1, description="requests of one adapter at once")
    key_concurrency: int | None = Field(default=None, ge=1, description="requests of one key at once")
    adapter_tokens_per_minute: int | None = Field(default=None, ge=1, description="of one adapter, read and generated")
    key_tokens_per_minute: int | None = Field(default=None, ge=1, description="of one key, read and generated")


class ServingSettings(Value):
    """One server: which registry and base it serves, and where it keeps files."""

    registry: str = Field(description="where the registry is, as `open_registry` takes it")
    base: str = Field(description="plain name of the base model")
    fingerprint: str = Field(description="the base's fingerprint")
    originals: tuple[str, ...] = Field(default=(), description="fingerprints of the bases that it is a copy of")
    cache: str = Field(description="folder of verified local copies of adapters")
    close_metrics: bool = Field(default=False, description="whether /metrics wants a key too")
    admission: AdmissionLimits = Field(default_factory=AdmissionLimits, description="how much is let into the engine")
    pins: tuple[str, ...] = Field(default=(), description="references whose versions stay loaded")
    cpu_lora: CpuLora = Field(default=CpuLora.OFF, description="how LoRA is computed on a CPU")
    kernel: str | None = Field(default=None, description="the compiled kernel; None: there is none")
    errors: str = Field(description="folder where processes of this server leave why they failed")
    launcher: int = Field(default=0, description="the process of `lorarack serve`")

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Self | None:
        """The settings of the server that this process belongs to; None when `lorarack serve` did not start it.

        Raises:
            EngineError: the variable is there and makes no sense.
        """
        raw = environ.get(VARIABLE)
        if raw is None:
            return None
        try:
            return cls.model_validate_json(raw)
        except ValidationError as error:
            raise EngineError(f"{VARIABLE} is set by `lorarack serve` and not by hand; unset it.") from error
