"""What a running server does now, by version: read from its `/metrics` and `/v1/residency` alone."""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lorarack.registry.errors import Unavailable
from lorarack.registry.openai_client import ModelServer


@dataclass(frozen=True, slots=True)
class VersionLoad:
    """One version, the base, or what is counted together (``other``, ``none``).

    Attributes:
        name: exact reference, the base's name, or ``other`` or ``none``.
        state: in the residency table; None: not in it.
        pinned: whether it is pinned there.
        rank: of the version; None for what is none.
        running: requests that the engine computes.
        waiting: requests that wait in the engine, or for the version.
        requests: since the server's start.
        errors: requests among them that failed.
        tokens: that were generated.
        first_token: median seconds to the first token.
        between_tokens: median seconds between tokens.
    """

    name: str
    state: str | None = None
    pinned: bool = False
    rank: int | None = None
    running: int = 0
    waiting: int = 0
    requests: int = 0
    errors: int = 0
    tokens: int = 0
    first_token: float | None = None
    between_tokens: float | None = None


@dataclass(frozen=True, slots=True)
class ServerLoad:
    """One look at a server."""

    url: str
    base: str
    ready: bool
    reason: str | None
    capacity: int | None
    loaded: int
    evictions: int
    versions: tuple[VersionLoad, ...]


def look(server: ModelServer) -> ServerLoad:
    """What the server does now.

    Raises:
        Unavailable: nothing answers there, or no lorarack server.
        NotAllowed: it wants a key, or another one.
    """
    import httpx2
    import openai

    with server.client() as client, server.errors():

        def get(path: str) -> str:
            return str(client.get(f"{server.address}{path}", cast_to=httpx2.Response).text)

        try:
            ready = get("/ready")
        except openai.InternalServerError as error:  # 503 with the reason
            ready = error.response.text
        table, metrics = get("/v1/residency"), get("/metrics")
    try:
        return _load(server.address, json.loads(ready), json.loads(table), _Series.of(metrics))
    except (KeyError, TypeError, ValueError) as error:
        raise Unavailable(f"What listens at {server.address} is no lorarack server; name one with --url.") from error


def _load(url: str, ready: dict[str, Any], table: dict[str, Any], metrics: "_Series") -> ServerLoad:
    states = {row["reference"]: row for row in table["data"]}
    names = [*states, *sorted(metrics.versions() - states.keys())]
    return ServerLoad(
        url=url,
        base=table["base"],
        ready=ready["ready"],
        reason=ready.get("reason"),
        capacity=table["capacity"],
        loaded=sum(row["state"] == "ready" for row in table["data"]),
        evictions=int(metrics.sum("lorarack_evictions_total")),
        versions=tuple(_version(name, states.get(name), metrics) for name in names),
    )


def _version(name: str, row: Mapping[str, Any] | None, metrics: "_Series") -> VersionLoad:
    running = int(metrics.sum("lorarack_requests_running", name))
    queued = int(metrics.sum("lorarack_requests_waiting", name))
    return VersionLoad(
        name=name,
        state=row["state"] if row else None,
        pinned=bool(row and row["pinned"]),
        rank=row["rank"] if row else None,
        running=running,
        waiting=max(queued, row["requests"] - running if row else 0),
        requests=int(metrics.sum("lorarack_requests_total", name)),
        errors=int(metrics.sum("lorarack_request_errors_total", name)),
        tokens=int(metrics.sum("lorarack_generation_tokens_total", name)),
        first_token=metrics.median("lorarack_time_to_first_token_seconds", name),
        between_tokens=metrics.median("lorarack_inter_token_latency_seconds", name),
    )


@dataclass(frozen=True, slots=True)
class _Series:
    """Samples by name: labels and value."""

    samples: Mapping[str, list[tuple[Mapping[str, str], float]]] = field(repr=False)

    @classmethod
    def of(cls, text: str) -> "_Series":
        from prometheus_client.parser import text_string_to_metric_families

        found: dict[str, list[tuple[Mapping[str, str], float]]] = defaultdict(list)
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name.startswith("lorarack_"):
                    found[sample.name].append((sample.labels, sample.value))
        return cls(found)

    def versions(self) -> set[str]:
        """Labels of requests."""
        return {labels["version"] for labels, _ in self.samples.get("lorarack_requests_total", ())}

    def sum(self, name: str, version: str | None = None) -> float:
        """Of all samples, or of one version's."""
        found = self.samples.get(name, ())
        return sum(value for labels, value in found if version is None or labels["version"] == version)

    def median(self, name: str, version: str) -> float | None:
        """Of a histogram: between the bounds of the bucket in which it lies."""
        buckets = [
            (float(labels["le"]), value)
            for labels, value in self.samples.get(f"{name}_bucket", ())
            if labels["version"] == version
        ]
        if not buckets or not buckets[-1][1]:
            return None
        half, below, counted = buckets[-1][1] / 2, 0.0, 0.0
        for bound, value in buckets:
            if value >= half:
                return (
                    below if bound == float("inf") else below + (bound - below) * (half - counted) / (value - counted)
                )
            below, counted = bound, value
        return None
