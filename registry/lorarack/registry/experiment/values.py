"""An experiment: its arms, what was frozen when it started, and how far it is."""

from datetime import datetime, timedelta
from typing import Any

from pydantic import Field

from lorarack.registry.experiment.assignment import assign_arm
from lorarack.registry.experiment.guards import Guard
from lorarack.registry.experiment.scores import Scores
from lorarack.registry.experiment.verdict import ExperimentState
from lorarack.registry.value import Value
from lorarack.registry.values import naming

#: Of all intervals of an experiment together.
ALPHA = 0.05
#: How long after its answer feedback is taken.
FEEDBACK_DAYS = 7
#: How long after a change servers may still assign by the weights before it.
FOLLOW_SECONDS = 2.0
#: The metric of right-or-wrong feedback; all others are graded, from 0 to 1.
THUMBS = "thumbs"


def alpha_of_each(arms: int, *, shadow: bool) -> float:
    """Of one interval: each pair of arms has one, and with shadow answers a second, of the requests that both answered."""
    return ALPHA / (arms * (arms - 1) // 2 * (2 if shadow else 1))


class Arm(Value):
    """A version that gets a share of an alias's requests; ``name`` is its number, with a letter where a version is named twice."""

    name: str
    version: int
    weight: float = Field(description="per cent of the callers")
    state: ExperimentState = Field(
        default=ExperimentState.RUNNING, description="of a challenger, against the reference arm"
    )
    stopped: str | None = Field(default=None, description="why it gets no requests any more")


class Plan(Value):
    """What is frozen when an experiment starts."""

    metric: str
    margin: float
    limit: int = Field(description="scored requests after which an undecided experiment stays so")
    needed: int | None = Field(description="scored requests that the pilot says it will take")
    pilot: Scores = Field(description="scores of the reference that this was told from", repr=False)
    guards: tuple[str, ...] = ()
    shadow: bool = Field(default=False, description="where there is room, another arm answers each request as well")
    differing: float | None = Field(
        default=None, description="share of the answers that differed between these versions in an earlier experiment"
    )
    salt: str = Field(repr=False)

    @property
    def graded(self) -> bool:
        """Whether a score may be anything from 0 to 1."""
        return self.metric != THUMBS


class Experiment(Value):
    """A split of an alias's requests between arms. The first is the reference: the version that the alias names."""

    id: int
    adapter: str
    alias: str
    plan: Plan
    arms: tuple[Arm, ...]
    started_at: datetime
    started_by: str
    weights_changed_at: datetime = Field(description="when weights were last changed")
    ended_at: datetime | None = None
    reason: str | None = Field(default=None, description="why it has ended")

    @property
    def reference(self) -> Arm:
        """The arm that others are compared with, and whose version answers where another cannot."""
        return self.arms[0]

    @property
    def named(self) -> str:
        """The alias as a reference."""
        return self.adapter if self.alias == "default" else f"{self.adapter}@{self.alias}"

    @property
    def guards(self) -> tuple[Guard, ...]:
        """The guards, read."""
        return tuple(map(Guard.parse, self.plan.guards))

    @property
    def open_arms(self) -> tuple[Arm, ...]:
        """Those that get requests, the reference first."""
        return tuple(arm for arm in self.arms if arm.stopped is None)

    @property
    def state(self) -> ExperimentState:
        """What is said of the challengers: running while it is of one, else the best that is said of any."""
        said = {self.state_of(arm) for arm in self.arms[1:]}
        order = ("RUNNING", "BETTER", "NOT_WORSE", "UNDECIDED", "WORSE")
        return next(state for name in order if (state := ExperimentState[name]) in said)

    def state_of(self, challenger: Arm) -> ExperimentState:
        """The arm's state; one that had no verdict when the experiment ended stays undecided."""
        ended = self.ended_at is not None and challenger.state is ExperimentState.RUNNING
        return ExperimentState.UNDECIDED if ended else challenger.state

    @property
    def assigned_since(self) -> datetime:
        """From when on every server assigns by these weights."""
        changed = self.weights_changed_at > self.started_at
        return self.weights_changed_at + timedelta(seconds=FOLLOW_SECONDS if changed else 0)

    @property
    def alpha(self) -> float:
        """Of one interval."""
        return alpha_of_each(len(self.arms), shadow=self.plan.shadow)

    def pair(self, one: str, other: str) -> tuple[str, str]:
        """Two arms as challenger and reference: the later one first."""
        names = [arm.name for arm in self.arms]
        later, earlier = sorted((one, other), key=names.index, reverse=True)
        return later, earlier

    def pair_share(self, one: str, other: str) -> float:
        """The challenger's share of the requests that either of two open arms gets."""
        stopped = sum(arm.weight for arm in self.arms if arm.stopped is not None)  # the reference's, now
        weights = (
            arm.weight + (0 if place else stopped) for place, arm in enumerate(self.arms) if arm.name in (one, other)
        )
        earlier, later = weights
        return round(later / (earlier + later), 6)

    def arm(self, name: str) -> Arm | None:
        """The arm of that name."""
        return next((arm for arm in self.arms if arm.name == name), None)

    def assign(self, caller: str) -> Arm:
        """The arm that answers ``caller``. Where that is stopped the reference does, and no other caller moves."""
        assigned = self.arm(assign_arm(self.plan.salt, caller, {arm.name: arm.weight for arm in self.arms}))
        return assigned if assigned is not None and assigned.stopped is None else self.reference

    def to_json(self) -> dict[str, Any]:
        """As docs/json.md has it."""
        return {
            "id": self.id,
            "adapter": self.adapter,
            "alias": self.alias,
            "state": self.state.value,
            "metric": self.plan.metric,
            "margin": self.plan.margin,
            "limit": self.plan.limit,
            "requests_needed": self.plan.needed,
            "guards": list(self.plan.guards),
            "shadow": self.plan.shadow,
            "arms": [self._arm_to_json(arm) for arm in self.arms],
            "started_at": self.started_at.isoformat(),
            "started_by": self.started_by,
            "ended_at": self.ended_at.isoformat() if self.ended_at else None,
            "reason": self.reason,
        }

    def _arm_to_json(self, arm: Arm) -> dict[str, Any]:
        return {
            "arm": arm.name,
            **naming(self.adapter, arm.version),
            "weight": arm.weight,
            "share": self.shares[arm.name],
            "state": None if arm is self.reference else self.state_of(arm).value,
            "stopped": arm.stopped,
        }

    @property
    def shares(self) -> dict[str, float]:
        """Arm -> per cent of the callers that it gets now."""
        shares = {arm.name: arm.weight if arm.stopped is None else 0.0 for arm in self.arms}
        shares[self.reference.name] += 100 - sum(shares.values())
        return shares


class NewExperiment(Value):
    """An experiment before it starts: looked at, and with the number of requests that it will take."""

    adapter: str
    alias: str
    plan: Plan
    arms: tuple[Arm, ...]
