"""Series by version are right, bounded in number, and never go down but to nothing."""

from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from tests.server.test_residency import open_copy
from tests.server.values import LIMITS, RecordingEngine, version

from lorarack.server.caller import ANONYMOUS
from lorarack.server.exchange import Exchange, Generation
from lorarack.server.metrics import RequestMetrics
from lorarack.server.residency import Residency
from lorarack.server.residency_metrics import ResidencyMetrics
from lorarack.server.router import Route

#: Metric name and labels to value.
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(registry: CollectorRegistry) -> Samples:
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {(one.name, tuple(sorted(one.labels.items()))): one.value for family in families for one in family.samples}


def of(found: Samples, name: str, **labels: str) -> float | None:
    return found.get((name, tuple(sorted(labels.items()))))


def ended(name: str, *generations: Generation, status: int = 200) -> Exchange:
    exchange = Exchange(ANONYMOUS, "POST /v1/completions", Route(name, name, "sha256:0"), status=status, seconds=0.5)
    exchange.generations.extend(generations)
    exchange.count_tokens(None)
    return exchange


def test_requests_tokens_and_times_are_counted_by_version() -> None:
    registry = CollectorRegistry()
    metrics = RequestMetrics(registry)
    metrics.observer.end(ended("support@1", Generation(7, 5, 0.03, 0.2), Generation(7, 1, 0.04, 0.0)))
    metrics.observer.end(ended("support@1", status=503))
    metrics.observer.end(replace(ended("x", status=404), route=None))
    found = samples(registry)
    assert of(found, "lorarack_requests_total", version="support@1", status="200") == 1
    assert of(found, "lorarack_requests_total", version="support@1", status="503") == 1
    assert of(found, "lorarack_requests_total", version="none", status="404") == 1
    assert of(found, "lorarack_request_errors_total", version="support@1") == 1
    assert of(found, "lorarack_prompt_tokens_total", version="support@1") == 14
    assert of(found, "lorarack_generation_tokens_total", version="support@1") == 6
    assert of(found, "lorarack_time_to_first_token_seconds_count", version="support@1") == 1
    assert of(found, "lorarack_time_to_first_token_seconds_sum", version="support@1") == pytest.approx(0.03)
    assert of(found, "lorarack_inter_token_latency_seconds_count", version="support@1") == 1
    assert of(found, "lorarack_inter_token_latency_seconds_sum", version="support@1") == pytest.approx(0.05)


def test_a_thousand_versions_have_few_series_and_the_busiest_their_own() -> None:
    registry = CollectorRegistry()
    metrics = RequestMetrics(registry, most=3)
    for number in range(1000):
        metrics.observer.end(ended(f"cold@{number}"))
    for _ in range(50):
        metrics.observer.end(ended("hot@1"))
    found = samples(registry)
    labels = {dict(key)["version"] for name, key in found if name == "lorarack_requests_total"}
    assert "hot@1" in labels
    assert "other" in labels
    assert len(labels) == 4
    assert metrics.label("cold@999") == "other"


def test_the_rest_never_goes_down_when_labels_change() -> None:
    """Prometheus takes a counter that goes down for one that began anew."""
    registry = CollectorRegistry()
    metrics = RequestMetrics(registry, most=2)
    last = 0.0
    for round_ in range(40):
        for number in range(6):
            for _ in range(1 + 3 * ((number + round_) % 6)):
                metrics.observer.end(ended(f"support@{number}"))
        now = of(samples(registry), "lorarack_requests_total", version="other", status="200") or 0.0
        assert now >= last
        last = now
    assert last > 0


async def test_residency_under_our_names_and_those_that_llmd_reads() -> None:
    registry = CollectorRegistry()
    metrics = RequestMetrics(registry)
    residency = Residency(RecordingEngine(), open_copy, LIMITS, capacity=3, observer=metrics.residency_observer)
    queues = {"support@3": (2, 1), "support@4": (0, 4)}
    registry.register(ResidencyMetrics(residency, metrics.label, lambda: queues, 2))
    for number in (1, 2, 3, 4):
        await residency.ensure(version(number))
    residency.pin([version(3)])
    found = samples(registry)
    assert of(found, "lorarack_residency", state="ready") == 3
    assert of(found, "lorarack_loads_total", version="other") == 4
    assert of(found, "lorarack_evictions_total", version="other") == 1
    assert of(found, "lorarack_load_seconds_count", version="other") == 4
    assert of(found, "vllm:lora_adapter_load_seconds_count") == 4
    assert of(found, "lorarack_requests_waiting", version="other") == 2
    assert of(found, "lorarack_requests_running", version="other") == 5
    loaded = {
        labels["adapter_name"]: (labels["level"], labels["pinned"], labels["rank"], labels["model_name"])
        for name, key in found
        if name == "vllm:lora_adapter_loaded"
        for labels in [dict(key)]
    }
    assert loaded == {
        "support@4": ("gpu", "false", "8", "smol"),
        "support@3": ("gpu", "true", "8", "smol"),
        "support@2": ("cpu", "false", "8", "smol"),
    }
    assert of(found, "vllm:num_gpu_loaded_lora_adapters", model_name="smol") == 2
    assert of(found, "vllm:max_gpu_lora_adapters", model_name="smol") == 2
