"""The interfaces of experiments: what callers of a registry use, and what a catalog keeps; the rest is as in ``interface``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

# The calls are to be read as a table; the formatter would give each name a line.
# fmt: off

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lorarack.registry.experiment.observed import Answer, ExperimentStatus, Feedback, Observed
    from lorarack.registry.experiment.review import Review
    from lorarack.registry.experiment.shadow import DifferentAnswers, ShadowResult
    from lorarack.registry.experiment.values import Experiment, NewExperiment


class Experiments(Protocol):
    """Live experiments: an alias's callers are split between versions of its adapter, and feedback shows which is as good.

    An experiment is asked for by its adapter and alias: the one that runs there, else the last that did.
    """

    def plan(self, adapter: str, alias: str, arms: Sequence[tuple[str, float]], *, metric: str = ..., margin: float = ...,
             guards: Sequence[str] = (), limit: int | None = None, shadow: bool = True) -> NewExperiment:
        """An experiment that could start, and how many scored requests it will take; nothing is written.

        ``arms``: (number or reference, per cent). The one that has the version which the alias names is the reference. ``margin``:
        how much worse, in the metric's mean, still counts as not worse. ``limit``: of scored requests; by default five times what
        it will take. ``shadow``: where a server has room, another arm answers each request as well, for the record only.

        Raises:
            UsageError: arms that are not two or more, weights that do not add up to 100, a margin, guard or metric that is none.
            Conflict: an arm is not ready, or on another base; the alias names none of the arms; an experiment runs there.
        """
    def start(self, new: NewExperiment) -> Experiment:
        """Begin to split callers. ``Conflict``: as ``plan``, or the alias has moved since."""
    def list(self, adapter: str | None = None) -> tuple[Experiment, ...]: """All, the newest first."""
    def status(self, adapter: str, alias: str) -> ExperimentStatus: """What is known now. Reads only."""

    def adjust(self, adapter: str, alias: str, arms: Sequence[tuple[str, float]]) -> Experiment:
        """Change the weights of all arms. A weight that grows moves callers into that arm, and no others.

        Raises:
            UsageError: not all arms, or weights that do not add up to 100.
            Conflict: the experiment has ended, or an arm was stopped.
        """
    def stop(self, adapter: str, alias: str, reason: str | None = None) -> Experiment:
        """End it; the alias goes on naming what it names. ``Conflict``: it has ended."""
    def promote(self, adapter: str, alias: str, arm: str | None = None, *, force: bool = False,
                reason: str | None = None) -> Experiment:
        """End it and point the alias at an arm's version; by default the recommended one.

        Raises:
            GateRefused: nothing is recommended, or the arm is neither better nor not worse; ``force``: even so.
            NotFound: no such arm.
            Conflict: the experiment has ended, or the version is not ready.
        """
    def record(self, answers: Sequence[Answer], shadows: Sequence[ShadowResult] = ()) -> None:
        """Keep what servers have answered, and what became of shadows; adds no event."""
    def differing(self, adapter: str, alias: str, limit: int = 20) -> tuple[DifferentAnswers, ...]:
        """The newest requests to which two arms gave different answers. ``UsageError``: a limit below 1."""
    def add_feedback(self, completion: str, key: str, metric: str, value: float) -> Feedback:
        """Store feedback on an answer, once; the same again changes nothing. Adds no event.

        Raises:
            UsageError: not a value of that metric.
            NotFound: ``key`` was given no such answer of an experiment.
            Conflict: another metric or value, too late, or the experiment has ended.
        """
    def review(self, ident: int) -> Experiment:
        """Look at what is observed, keep the intervals, and stop arms that guards or a verdict rule out; as it is then."""


class ExperimentCatalog(Protocol):
    """What is known of experiments. ``NotFound``: there is none of that number."""

    def list(self, adapter: str | None = None, alias: str | None = None) -> tuple[Experiment, ...]: """The newest first."""
    def observed(self, ident: int, *, with_callers: bool = True) -> Observed:
        """What was observed, at one moment. Counting callers takes time that grows with the answers; nothing else does."""
    def start(self, actor: str, new: NewExperiment) -> Experiment: """As ``Experiments.start``."""
    def set_weights(self, actor: str, ident: int, weights: Mapping[str, float]) -> Experiment: """``Conflict``: it has ended."""
    def keep_review(self, actor: str, ident: int, found: Review) -> Experiment:
        """Keep looks, states and stops, except those that are kept by now; nothing of an experiment that has ended."""
    def end(self, actor: str, ident: int, reason: str | None, promoted: int | None = None) -> Experiment:
        """End it and point its alias at version ``promoted``, in one transaction. ``Conflict``: as ``Experiments.promote``."""
    def record(self, answers: Sequence[Answer], shadows: Sequence[ShadowResult] = ()) -> None: """As ``Experiments.record``."""
    def differing(self, ident: int, limit: int) -> tuple[DifferentAnswers, ...]: """As ``Experiments.differing``."""
    def old_answers(self) -> tuple[tuple[Experiment, int], ...]:
        """Experiments that ended before feedback on them could still come, and how many answers are kept of each, if any are."""
    def remove_answers(self, ident: int) -> int: """Remove them, but not the sums over them; how many they were."""
    def add_feedback(self, completion: str, key: str, metric: str, value: float) -> Feedback: """As in ``Experiments``."""
