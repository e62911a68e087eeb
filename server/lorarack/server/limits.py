"""Whether a server can serve a version completely. vLLM would serve others in part, or as the bare base."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lorarack.registry import State, Version
from lorarack.registry.errors import Conflict, NotServeable

#: Modules that adapters name one by one and that vLLM keeps as one layer.
PACKED: Mapping[str, tuple[str, ...]] = {
    "qkv_proj": ("q_proj", "k_proj", "v_proj"),
    "gate_up_proj": ("gate_proj", "up_proj"),
}

#: Modules that only some of vLLM's models take adapters on.
EMBEDDINGS = frozenset({"embed_tokens", "lm_head"})


@dataclass(frozen=True, slots=True)
class Limits:
    """What one running server can serve."""

    base: str
    fingerprint: str
    max_rank: int
    #: Module names without the path that lead to adapted layers; None: every linear layer of the model.
    target_modules: frozenset[str] | None = None
    #: Which of :data:`EMBEDDINGS` the model takes adapters on.
    embeddings: frozenset[str] = EMBEDDINGS
    #: Fingerprints of the bases that this one is a quantized or converted copy of: their versions fit it.
    originals: frozenset[str] = frozenset()
    #: Tokens of prompt and answer together; None: not known.
    max_model_len: int | None = None
    #: Number type that it computes in; None: not known.
    dtype: str | None = None


def incompatibility(version: Version, limits: Limits) -> str | None:
    """Why a server of ``limits`` cannot serve ``version`` whole, and what to do about it; None when it can."""
    name = version.reference
    if version.base_fingerprint != limits.fingerprint and version.base_fingerprint not in limits.originals:
        if version.base == limits.base:
            return f"{name} was trained on other weights than the {limits.base!r} that this server serves; train it again on these."
        return (
            f"{name} belongs to base {version.base!r} and this server serves {limits.base!r}; "
            f"run `lorarack serve {version.base}`."
        )
    if version.state is not State.READY:
        return f"{name} is {version.state.value}; only ready versions are served."
    if version.rank > limits.max_rank:
        return (
            f"{name} has rank {version.rank} and this server holds ranks up to {limits.max_rank}; "
            f"start it with --max-lora-rank {rank_bucket(version.rank)} or more."
        )
    names = frozenset(target.rpartition(".")[2] for target in version.target_modules)
    if impossible := (names & EMBEDDINGS) - limits.embeddings:
        return f"{name} adapts {_listed(impossible)}, which vLLM cannot adapt in this model; train it without."
    if limits.target_modules is not None and (left_out := names - unpacked(limits.target_modules)):
        return (
            f"{name} adapts {_listed(left_out)}, which this server leaves out; "
            "start it with --lora-target-modules that include it."
        )
    return None


def check_serveable(version: Version, limits: Limits) -> None:
    """Whether a server of ``limits`` may serve ``version``, loaded or not.

    Raises:
        Conflict: it is archived or quarantined.
        NotServeable: this server cannot serve it whole.
    """
    if version.state is not State.READY:
        raise _not_ready(version)
    if reason := incompatibility(version, limits):
        raise NotServeable(reason)


def _not_ready(version: Version) -> Conflict:
    """The error for a version whose state keeps it from being served."""
    because = f" ({version.state_reason.rstrip('.')})" if version.state_reason else ""
    return Conflict(
        f"{version.reference} is {version.state.value}{because}, and only ready versions are served; "
        f"ask for another version of {version.adapter!r}.",
        code="not_ready",
    )


def unpacked(modules: Iterable[str]) -> frozenset[str]:
    """All names that ``modules`` reach, as vLLM matches them: a part reaches its packed layer and so all its parts."""
    names = {module.rpartition(".")[2] for module in modules}
    for packed, parts in PACKED.items():
        if packed in names or names.intersection(parts):
            names.update(parts, {packed})
    return frozenset(names)


#: The slot sizes that vLLM knows (``vllm.config.lora.MaxLoRARanks``).
RANK_BUCKETS = (1, 8, 16, 32, 64, 128, 256, 320, 512)


def rank_bucket(rank: int) -> int:
    """The smallest slot size that holds ``rank``; the largest one when none does."""
    return next((size for size in RANK_BUCKETS if size >= rank), RANK_BUCKETS[-1])


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
