"""Prometheus series of requests by version: the busiest versions under their own names, the rest as ``other``.

vLLM's own series know no adapters. On `/metrics` these stand beside them.
"""

import os
from collections import Counter
from collections.abc import Callable

import prometheus_client as prometheus

from lorarack.registry import Version
from lorarack.server.exchange import Exchange, Observer
from lorarack.server.residency_table import ResidencyObserver

#: Versions with series of their own.
BUSIEST = 20
OTHER = "other"
#: Requests whose name was refused: no version answers them.
NONE = "none"
#: Requests after which earlier ones count half.
_HALF_LIFE = 2000

_SECONDS = (
    0.001,
    0.005,
    0.01,
    0.02,
    0.04,
    0.06,
    0.08,
    0.1,
    0.25,
    0.5,
    0.75,
    1.0,
    2.5,
    5.0,
    7.5,
    10.0,
    20.0,
    40.0,
    80.0,
)


class Busiest:
    """Gives versions a label: their own name, or ``other``. At most ``most`` at a time have their own.

    One that is asked for more than twice as often lately as the least busy one with a label takes its place.
    """

    def __init__(self, most: int, drop: Callable[[str], None] | None) -> None:
        """``drop(label)`` is called when a label is given up; None: labels are never given up."""
        self._most = most
        self._drop = drop
        self._asked: Counter[str] = Counter()
        self._labels: set[str] = set()
        self._count = 0

    def asked(self, version: str) -> str:
        """Count one request to ``version``; its label."""
        self._asked[version] += 2
        self._count += 1
        if self._count % _HALF_LIFE == 0:
            self._asked = Counter({name: number // 2 for name, number in self._asked.items() if number > 1})
        if version not in self._labels:
            if len(self._labels) < self._most:
                self._labels.add(version)
            elif self._drop is not None:
                least = min(self._labels, key=lambda label: self._asked[label])
                if self._asked[version] > 2 * self._asked[least]:
                    self._labels.remove(least)
                    self._labels.add(version)
                    self._drop(least)
        return self.label(version)

    def label(self, version: str) -> str:
        """The label of ``version`` now."""
        return version if version in self._labels else OTHER


class RequestMetrics:
    """The series of requests and loads on `/metrics`. Library objects, so several API processes are added up."""

    def __init__(self, registry: prometheus.CollectorRegistry = prometheus.REGISTRY, most: int = BUSIEST) -> None:
        self._series: list[prometheus.Counter | prometheus.Histogram] = []

        def counter(name: str, text: str, *labels: str) -> prometheus.Counter:
            self._series.append(made := prometheus.Counter(name, text, ["version", *labels], registry=registry))
            return made

        def histogram(name: str, text: str) -> prometheus.Histogram:
            made = prometheus.Histogram(name, text, ["version"], registry=registry, buckets=_SECONDS)
            self._series.append(made)
            return made

        self._requests = counter("lorarack_requests", "Requests that a model may answer, by status.", "status")
        self._errors = counter("lorarack_request_errors", "Those with a status from 400 on, or cut off.")
        self._prompt = counter("lorarack_prompt_tokens", "Tokens of prompts.")
        self._generated = counter("lorarack_generation_tokens", "Tokens of answers.")
        self._ttft = histogram("lorarack_time_to_first_token_seconds", "From a request's arrival, loading included.")
        self._itl = histogram("lorarack_inter_token_latency_seconds", "Between tokens: the mean of each request.")
        self._seconds = histogram("lorarack_request_seconds", "From a request's arrival to the end of its response.")
        self._loads = counter("lorarack_loads", "Loads into the engine.")
        self._load_errors = counter("lorarack_load_errors", "Loads that failed.")
        self._evictions = counter("lorarack_evictions", "Versions that made way for another.")
        self._load_seconds = histogram("lorarack_load_seconds", "Of loads: files, engine and probe.")
        # As llm-d's and Gateway API's schedulers read it.
        self._llmd_load_seconds = prometheus.Histogram(
            "vllm:lora_adapter_load_seconds", "Of loads.", registry=registry, buckets=_SECONDS
        )
        # The library cannot remove series that several processes write.
        several = "PROMETHEUS_MULTIPROC_DIR" in os.environ
        self._busiest = Busiest(most, None if several else self._drop)

    @property
    def observer(self) -> Observer:
        """What counts requests."""
        return Observer(end=self._ended)

    @property
    def residency_observer(self) -> ResidencyObserver:
        """What counts loads."""
        return ResidencyObserver(self._loaded, self._load_failed, self._evicted)

    def label(self, version: str) -> str:
        """Under which label ``version`` is counted now."""
        return self._busiest.label(version)

    def _ended(self, exchange: Exchange) -> None:
        label = self._busiest.asked(exchange.route.version) if exchange.route else NONE
        status = exchange.status or 0
        self._requests.labels(label, str(status or "cut off")).inc()
        if not 200 <= status < 400:
            self._errors.labels(label).inc()
        self._seconds.labels(label).observe(exchange.elapsed() if exchange.seconds is None else exchange.seconds)
        if (usage := exchange.usage) is not None:
            self._prompt.labels(label).inc(usage.prompt)
            self._generated.labels(label).inc(usage.completion)
        if exchange.first_token is not None:
            self._ttft.labels(label).observe(exchange.first_token)
        for generation in exchange.generations:
            if generation.tokens > 1:
                self._itl.labels(label).observe(generation.decode_seconds / (generation.tokens - 1))

    def _loaded(self, version: Version, seconds: float) -> None:
        label = self.label(version.reference)
        self._loads.labels(label).inc()
        self._load_seconds.labels(label).observe(seconds)
        self._llmd_load_seconds.observe(seconds)

    def _load_failed(self, version: Version) -> None:
        self._load_errors.labels(self.label(version.reference)).inc()

    def _evicted(self, version: Version) -> None:
        self._evictions.labels(self.label(version.reference)).inc()

    def _drop(self, label: str) -> None:
        for series in self._series:
            series.remove_by_labels({"version": label})
