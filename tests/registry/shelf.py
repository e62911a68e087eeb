"""Versions that differ in what is asked about, each published in a few milliseconds."""

from dataclasses import dataclass, field
from pathlib import Path

from tests.tiny import tiny_adapter

from lorarack.registry import Metric, Registry, Version


@dataclass
class Shelf:
    """Publishes into ``registry``, each time other weights."""

    registry: Registry
    folder: Path
    count: int = field(default=0)

    def put(
        self,
        adapter: str = "support",
        *,
        rank: int = 4,
        loss: float | None = None,
        exact: float | None = None,
        higher: bool = True,
        dataset: str | None = None,
        tags: dict[str, str] | None = None,
        description: str | None = None,
        base: str = "tiny",
    ) -> Version:
        """A new version with these metrics (``loss`` on validation, ``exact`` on test) and tags."""
        self.count += 1
        source = tiny_adapter(self.folder / f"shelf-{self.count}", rank=rank, seed=1000 + self.count)
        metrics = []
        if loss is not None:
            metrics.append(Metric(name="loss", split="validation", value=loss, dataset=dataset))
        if exact is not None:
            metrics.append(Metric(name="exact", split="test", value=exact, higher_is_better=higher, dataset=dataset))
        return self.registry.publish(
            source, adapter, base=base, metrics=metrics, tags=tags, description=description
        ).version
