"""What there is to know about the task beside its rows."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """A task in words, for reports and model cards."""

    name: str
    title: str
    summary: str
    system: str
    metric: str
    licence: str


TASK = TaskFacts(
    name="orders",
    title="Spoken café orders to a JSON call",
    summary=(
        "A guest's sentence, with changes of mind, becomes one JSON object: the items with number, size and changes, "
        "and how and when they leave the house."
    ),
    system="Order as JSON.",
    metric="exact",
    licence="Apache-2.0",
)
