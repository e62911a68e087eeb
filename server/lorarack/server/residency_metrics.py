"""The series of the residency table on `/metrics`, read at each scrape: ours, and those that llm-d's scorer reads.

Those are proposed for vLLM (https://github.com/vllm-project/vllm/pull/54830): where an adapter is, and how many places there are.
"""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from lorarack.server.residency import Residency
from lorarack.server.residency_table import Row, RowState

#: Waiting and running requests by the engine's name for their adapter.
Queues = Callable[[], Mapping[str, tuple[int, int]]]


class ResidencyMetrics(Collector):
    """Gauges of one API process."""

    def __init__(self, residency: Residency, label: Callable[[str], str], queues: Queues, slots: int) -> None:
        """Of ``residency``; ``label`` says under which name a version is counted, ``slots`` how many are in one batch."""
        self._residency = residency
        self._label = label
        self._queues = queues
        self._slots = slots

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Nothing: names are known when they are asked for."""
        return iter(())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """All series now."""
        yield from self._ours()
        yield from self._of_llmd()

    def _ours(self) -> Iterator[GaugeMetricFamily]:
        states = GaugeMetricFamily("lorarack_residency", "Versions by state.", labels=["state"])
        counts = dict.fromkeys(RowState, 0)
        for row in self._residency.table:
            counts[row.state] += 1
        for state, number in counts.items():
            states.add_metric([state.value], number)
        yield states
        waiting = GaugeMetricFamily(
            "lorarack_requests_waiting", "Requests that wait in the engine.", labels=["version"]
        )
        running = GaugeMetricFamily("lorarack_requests_running", "Requests that it computes.", labels=["version"])
        sums: dict[str, list[int]] = {}
        for name, numbers in self._queues().items():
            found = sums.setdefault(self._label(name), [0, 0])
            found[0], found[1] = found[0] + numbers[0], found[1] + numbers[1]
        for label, (waits, runs) in sorted(sums.items()):
            waiting.add_metric([label], waits)
            running.add_metric([label], runs)
        yield waiting
        yield running

    def _of_llmd(self) -> Iterator[GaugeMetricFamily]:
        base = self._residency.limits.base
        loaded = GaugeMetricFamily(
            "vllm:lora_adapter_loaded",
            "Adapters that the engine holds; those used last are in the slots of the batch (gpu).",
            labels=["model_name", "adapter_name", "level", "pinned", "rank"],
        )
        rows = [row for row in self._residency.table if row.state in (RowState.READY, RowState.DRAINING)]
        rows.sort(key=_by_use, reverse=True)
        for place, row in enumerate(rows):
            level = "gpu" if place < self._slots else "cpu"
            pinned = str(row.pinned).lower()
            loaded.add_metric([base, row.version.reference, level, pinned, str(row.version.rank)], 1)
        yield loaded
        numbers = {
            "vllm:num_gpu_loaded_lora_adapters": min(len(rows), self._slots),
            "vllm:num_cpu_loaded_lora_adapters": len(rows),
            "vllm:max_gpu_lora_adapters": self._slots,
        }
        for name, number in numbers.items():
            family = GaugeMetricFamily(name, "As llm-d's scorer reads it.", labels=["model_name"])
            family.add_metric([base], number)
            yield family


def _by_use(row: Row) -> tuple[bool, float]:
    return row.requests > 0, row.last_used
