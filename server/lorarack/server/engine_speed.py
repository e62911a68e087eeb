"""How fast an engine is on this machine: measured by the first start with its settings, kept, and what follows from it.

A step reads all weights, whoever it is for, so its time depends on the requests at a time; a prompt's time depends on its length.
Both are measured at a few points and interpolated. Adapters are added: their bytes to a step, and to a prompt what one was measured
to add.
"""

import hashlib
import os
import tempfile
from bisect import bisect_left
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import Field, ValidationError

from lorarack.registry.value import Value
from lorarack.server.user_cache import cache_folder, private_folder, untrusted_reason

Points: TypeAlias = tuple[tuple[int, float], ...]

#: Where it is measured: tokens of a prompt, requests at a time.
PROMPTS, REQUESTS = (32, 128, 512), (1, 8, 16, 32)

#: The share of the processors that other programs may have while an engine is measured.
_QUIET = 0.1


class EngineSpeed(Value):
    """What was measured of one engine."""

    prefill: Points = Field(
        min_length=1, description="tokens of a prompt to the base, and seconds until its first token"
    )
    adapter_rank: int = Field(ge=1, description="of an adapter on all layers")
    adapter_prefill: Points = Field(min_length=1, description="the same of prompts to that adapter")
    decode: Points = Field(
        min_length=1, description="requests to the base at a time, and seconds of a step of all of them"
    )
    busy: float = Field(description="share of the processors that other programs had meanwhile")

    @property
    def holds(self) -> bool:
        """Whether the next start need not measure again."""
        return self.busy <= _QUIET

    def prompt_seconds(self, tokens: int, rank: int = 0) -> float:
        """Until the first token of ``tokens`` tokens of prompts on an idle engine, to adapters of ``rank`` (0: to the base)."""
        base = interpolated(self.prefill, tokens)
        return base + rank / self.adapter_rank * max(0.0, interpolated(self.adapter_prefill, tokens) - base)

    def step_seconds(self, requests: int) -> float:
        """Of a step that generates a token for each of ``requests`` requests."""
        return interpolated(self.decode, requests)


class SpeedForecast(Value):
    """What to expect of one kind of traffic: requests of ``prompt`` and ``output`` tokens, ``requests`` at a time."""

    rank: int | None = Field(
        description="each request names an adapter of its own of that rank; null: all name the base"
    )
    requests: int
    prompt: int
    output: int
    first_token: float = Field(description="seconds until the first token where nobody else asks")
    tokens_per_second: float = Field(description="generated tokens of all requests together")


@dataclass(frozen=True, slots=True)
class AdapterWork:
    """What one adapter adds to the base's work.

    Attributes:
        rank: its rank.
        bytes: of its weights, read in each step.
    """

    rank: int
    bytes: int


def forecast(
    speed: EngineSpeed, weight_bytes: int, adapter: AdapterWork | None, requests: int, prompt: int, output: int
) -> SpeedForecast:
    """What to expect of ``requests`` requests at a time, with ``prompt`` and ``output`` tokens each.

    Each names an ``adapter`` of its own, or the base, of ``weight_bytes`` (None). Adapters are taken to be read as fast as the
    whole step for one request reads the base.
    """
    rank, adapter_bytes = (adapter.rank, adapter.bytes) if adapter else (0, 0)
    step = speed.step_seconds(requests) + requests * adapter_bytes * speed.step_seconds(1) / weight_bytes
    together = speed.prompt_seconds(prompt * requests, rank)
    return SpeedForecast(
        rank=adapter.rank if adapter else None,
        requests=requests,
        prompt=prompt,
        output=output,
        first_token=speed.prompt_seconds(prompt, rank),
        tokens_per_second=requests * output / (together + (output - 1) * step),
    )


def interpolated(points: Points, at: float) -> float:
    """The value at ``at`` of the line through ``points``; beyond their ends it goes on as between the last two."""
    if len(points) == 1:
        return points[0][1]
    place = min(max(bisect_left([x for x, _ in points], at), 1), len(points) - 1)
    (x, y), (next_x, next_y) = points[place - 1 : place + 1]
    return max(y + (next_y - y) * (at - x) / (next_x - x), min(y, next_y) * 0.5)


def speed_file(fingerprint: str, vllm: str, lora: str, args: Any) -> Path:
    """Where the speed of an engine with these settings is kept on this machine.

    Raises:
        EngineError: there is no folder that only the user can write to.
    """
    words = (
        fingerprint, vllm, lora, len(os.sched_getaffinity(0)), args.dtype, args.enforce_eager, args.quantization,
        args.tensor_parallel_size, args.enable_lora,
    )  # fmt: skip
    name = hashlib.sha256("\0".join(map(str, words)).encode()).hexdigest()[:32]
    return private_folder(cache_folder(os.environ)) / "speeds" / f"{name}.json"


def read_speed(file: Path) -> EngineSpeed | None:
    """What was measured; None: nothing, or it cannot be read or trusted."""
    try:
        if untrusted_reason(file):
            return None
        return EngineSpeed.model_validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return None


def write_speed(file: Path, speed: EngineSpeed) -> None:
    """Keep what was measured.

    Raises:
        EngineError: the folder cannot be used.
        OSError: the disk.
    """
    folder = private_folder(file.parent)
    handle, name = tempfile.mkstemp(dir=folder)
    try:
        with os.fdopen(handle, "w") as made:
            made.write(speed.model_dump_json())
        os.replace(name, file)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise


def measured_at(numbers: Sequence[int], most: int) -> list[int]:
    """Those of ``numbers`` up to ``most``, or ``most``."""
    return [number for number in numbers if number <= most] or [most]
