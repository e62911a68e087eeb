"""A version at another strength."""

import json
import math
from pathlib import Path

from lorarack.adapters.ranks.derive import fetched, publish_derived
from lorarack.registry.artifact.manifest import CONFIG
from lorarack.registry.errors import InvalidArtifact, UsageError
from lorarack.registry.interface import Registry
from lorarack.registry.values import Published


def scale(registry: Registry, reference: str, by: float, *, name: str | None = None) -> Published:
    """Publish a version whose effect is ``by`` times that of another: its alpha is; its weights are the same file.

    Args:
        registry: where the version is.
        reference: names it.
        by: the factor; negative turns the effect round.
        name: the adapter to publish to; without it the version's own.

    Raises:
        BadReference: ``reference`` is not a reference.
        NotFound: no such version.
        UsageError: ``by`` is 0, 1 or not a number.
        InvalidArtifact: the factor is too large for any engine.
        Conflict: the adapter ``name`` belongs to another base.
        Damaged: stored bytes changed.
        StoreError: disk or database.
    """
    if not math.isfinite(by) or by in (0, 1):
        raise UsageError(f"Scaling by {by:g} makes no other adapter; give a factor such as 0.8.", code="bad_scale")
    version = registry.resolve(reference)
    with fetched(registry, [version]) as (folder,):
        _scale_alpha(folder / CONFIG, by)
        try:
            return publish_derived(registry, folder, [version], "scaled", {"by": by}, name)
        except InvalidArtifact as error:
            if abs(by) <= 1:
                raise
            raise _out_of_range(version.reference, by, error) from error


def _out_of_range(reference: str, by: float, error: InvalidArtifact) -> InvalidArtifact:
    """In terms of the factor: the folder is gone by the time this is read, and nobody trained what was in it."""
    reason = "no engine would serve the outcome; give a smaller factor."
    return InvalidArtifact([reason], subject=reference, purpose=f"scaled by {by:g}", code=error.code)


def _scale_alpha(config: Path, by: float) -> None:
    data = json.loads(config.read_bytes())
    data["lora_alpha"] = data.get("lora_alpha", 8) * by
    data["alpha_pattern"] = {pattern: alpha * by for pattern, alpha in (data.get("alpha_pattern") or {}).items()}
    config.write_text(json.dumps(data))
