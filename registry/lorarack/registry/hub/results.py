"""A version's metrics, tags and description in a card's front matter, and back.

Metrics go into the ``model-index`` that the Hub shows: a metric's name is the result's metric type, its split and the digest
of its data are the data set's split and revision. What the Hub has no place for is under the key ``lorarack``, together
with the digest of the files that all this is about: it counts only for files of that digest.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from lorarack.registry.hub.privacy import plain, without_paths
from lorarack.registry.metrics import latest_metrics
from lorarack.registry.texts import keepable_tags
from lorarack.registry.values import Metric, Version

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

_MAX_METRICS, _MAX_TAGS, _MAX_TEXT = 1000, 100, 2000


@dataclass(frozen=True, slots=True)
class Claims:
    """The version's section of a card."""

    metrics: tuple[Metric, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    description: str | None = None
    notes: tuple[str, ...] = ()


def finished_metrics(version: Version) -> tuple[Metric, ...]:
    """The metrics of the finished version, the newest of each name, split and data set; no points of curves."""
    return tuple(latest_metrics(version.metrics).values())


def to_results(version: Version) -> "list[EvalResult]":
    """The finished version's metrics as the Hub's evaluation results."""
    from huggingface_hub import EvalResult

    names = {data.digest: data.name for data in version.provenance.datasets} if version.provenance else {}
    return [
        EvalResult(
            task_type="text-generation",
            dataset_type="custom",
            dataset_name=str(plain(names.get(metric.dataset or "", metric.split))),
            dataset_split=metric.split,
            dataset_revision=metric.dataset,
            metric_type=metric.name,
            metric_name=metric.label,
            metric_value=metric.value,
            metric_args={"higher_is_better": metric.higher_is_better},
        )
        for metric in finished_metrics(version)
    ]


def to_block(version: Version) -> dict[str, Any]:
    """What the key ``lorarack`` of the front matter holds."""
    block: dict[str, Any] = {"version": version.reference, "digest": version.digest, "rank": version.rank}
    if version.tags:
        block["tags"] = {without_paths(key): plain(value) for key, value in sorted(version.tags.items())}
    if version.description:
        block["description"] = without_paths(version.description)
    return block


def read_claims(card: str, digests: Container[str]) -> Claims:
    """The results in ``card`` for files with one of ``digests``; none in a card of other files. The card is untrusted input."""
    import yaml
    from huggingface_hub import EvalResult, ModelCard

    try:
        data = ModelCard(card, ignore_metadata_errors=True).data
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError, yaml.YAMLError):
        return Claims(notes=("Its model card cannot be read, so no metrics were taken from it.",))
    block = data.get("lorarack")
    if not isinstance(block, dict):
        return Claims()
    if not isinstance(block.get("digest"), str) or block["digest"] not in digests:
        return Claims(notes=("Its model card is about other files than these, so no metrics were taken from it.",))
    results = data.get("eval_results")
    listed = results[:_MAX_METRICS] if isinstance(results, list) else []
    metrics = [metric for result in listed if isinstance(result, EvalResult) and (metric := _metric(result))]
    return Claims(tuple(metrics), _tags(block.get("tags")), _text(block.get("description")))


def _metric(result: "EvalResult") -> Metric | None:
    args = result.metric_args
    try:
        return Metric.model_validate(
            {
                "name": result.metric_type,
                "split": result.dataset_split,
                "value": result.metric_value,
                "dataset": result.dataset_revision,
                "higher_is_better": args.get("higher_is_better", False) if isinstance(args, dict) else False,
            }
        )
    except ValidationError:
        return None


def _tags(found: object) -> dict[str, str]:
    pairs = list(found.items())[:_MAX_TAGS] if isinstance(found, dict) else []
    texts = {_text(key): _text(value) for key, value in pairs}
    return keepable_tags({key: value for key, value in texts.items() if key is not None and value is not None})


def _text(found: object) -> str | None:
    """A text of limited length; YAML can also spell NUL and lone surrogates, which cannot be stored."""
    return found[:_MAX_TEXT].replace("\0", "?").encode(errors="replace").decode() if isinstance(found, str) else None
