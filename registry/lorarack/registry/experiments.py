"""Live experiments on aliases: planning, starting, looking at, ending. What each call promises is in ``interface``."""

import re
import secrets
from collections.abc import Iterator, Sequence

from lorarack.registry import versions
from lorarack.registry.errors import Conflict, GateRefused, NotFound, UsageError
from lorarack.registry.experiment.guards import Guard
from lorarack.registry.experiment.observed import Answer, ExperimentStatus, Feedback, Observed
from lorarack.registry.experiment.pilot import pairs_to_a_verdict, pilot_differing, pilot_scores
from lorarack.registry.experiment.requests_needed import pairs_needed, requests_needed
from lorarack.registry.experiment.review import is_mismatched, recommended, review
from lorarack.registry.experiment.shadow import DifferentAnswers, ShadowResult
from lorarack.registry.experiment.values import THUMBS, Arm, Experiment, NewExperiment, Plan, alpha_of_each
from lorarack.registry.experiment.verdict import ExperimentState, check_margin
from lorarack.registry.interface import Catalog
from lorarack.registry.interface.experiments import Experiments
from lorarack.registry.texts import check_alias_name, check_text
from lorarack.registry.values import Version
from lorarack.registry.versions import check_known

DEFAULT_MARGIN = 0.05
#: More arms than this are no experiment that ends.
MOST_ARMS = 6
#: The limit, in multiples of what the pilot says.
_LIMIT_FACTOR = 5
_LARGEST_LIMIT = 2**40
_MOST_SHOWN = 10_000
_METRIC = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}", re.ASCII)


class CatalogExperiments(Experiments):
    """Implements ``Experiments`` over a catalog; ``actor`` is recorded in the log."""

    def __init__(self, catalog: Catalog, actor: str) -> None:
        self._catalog, self._actor = catalog, actor
        self._experiments = catalog.experiments

    def plan(
        self,
        adapter: str,
        alias: str,
        arms: Sequence[tuple[str, float]],
        *,
        metric: str = THUMBS,
        margin: float = DEFAULT_MARGIN,
        guards: Sequence[str] = (),
        limit: int | None = None,
        shadow: bool = True,
    ) -> NewExperiment:
        check_margin(margin)
        _check_metric(metric)
        guards = tuple(dict.fromkeys(guard.strip() for guard in guards))
        for guard in guards:
            Guard.parse(guard)
        if limit is not None and not 0 < limit < _LARGEST_LIMIT:
            raise UsageError(f"A limit of {limit} requests ends nothing in time; give 1 or more.", code="bad_limit")
        named = self._named(adapter, alias)
        ordered = self._arms(adapter, alias, arms, named)
        pilot, share = pilot_scores(self._earlier(adapter), metric, named), min(arm.weight for arm in ordered[1:])
        differing = pilot_differing(self._earlier(adapter), {arm.version for arm in ordered}) if shadow else None
        alpha = alpha_of_each(len(ordered), shadow=shadow)
        needed = requests_needed(pilot, (ordered[0].weight / 100, share / 100), margin, alpha)
        if differing is not None:
            paired = pairs_needed(differing, share / (share + ordered[0].weight), margin, alpha)
            needed = min((count for count in (needed, paired) if count is not None), default=None)
        return NewExperiment(
            adapter=adapter,
            alias=alias,
            arms=ordered,
            plan=Plan(
                metric=metric,
                margin=margin,
                limit=limit or _LIMIT_FACTOR * (needed or _LARGEST_LIMIT // _LIMIT_FACTOR),
                needed=needed,
                pilot=pilot,
                guards=guards,
                shadow=shadow,
                differing=differing,
                salt=secrets.token_hex(8),
            ),
        )

    def start(self, new: NewExperiment) -> Experiment:
        return self._experiments.start(self._actor, new)

    def list(self, adapter: str | None = None) -> tuple[Experiment, ...]:
        if adapter is not None:
            check_known(self._catalog, adapter)
        return self._experiments.list(adapter)

    def status(self, adapter: str, alias: str) -> ExperimentStatus:
        observed = self._experiments.observed(self._find(adapter, alias).id)
        experiment = observed.experiment
        costs = {
            arm.version: version.parameters
            for arm in experiment.arms
            if (version := self._version(experiment.adapter, arm.version)) is not None
        }
        return ExperimentStatus(
            **dict(observed),
            recommended=recommended(experiment, observed.looks, costs),
            mismatch=is_mismatched(experiment, observed.callers),
            pairs_needed=pairs_to_a_verdict(observed),
        )

    def adjust(self, adapter: str, alias: str, arms: Sequence[tuple[str, float]]) -> Experiment:
        experiment = self._find(adapter, alias)
        _check_weights(arms)
        weights = {self._arm(experiment, text).name: weight for text, weight in arms}
        if weights.keys() != {arm.name for arm in experiment.arms}:
            listed = " ".join(f"--arm {arm.name}=…" for arm in experiment.arms)
            raise UsageError(f"Give the weight of every arm of {experiment.named}: {listed}.", code="bad_weights")
        if stopped := [arm for arm in experiment.arms if arm.stopped is not None]:
            raise Conflict(
                f"Arm {stopped[0].name} was stopped ({stopped[0].stopped}); stop the experiment and start another.",
                code="arm_stopped",
            )
        return self._experiments.set_weights(self._actor, experiment.id, weights)

    def stop(self, adapter: str, alias: str, reason: str | None = None) -> Experiment:
        check_text(reason, "reason")
        return self._experiments.end(self._actor, self._find(adapter, alias).id, reason)

    def promote(
        self, adapter: str, alias: str, arm: str | None = None, *, force: bool = False, reason: str | None = None
    ) -> Experiment:
        check_text(reason, "reason")
        status = self.status(adapter, alias)
        experiment = status.experiment
        if arm is None:
            if status.recommended is None:
                raise GateRefused(
                    f"Nothing is decided on {experiment.named} yet; wait, or name an arm and add --force.",
                    code="undecided",
                )
            arm = status.recommended
        chosen = self._arm(experiment, arm)
        good = (ExperimentState.BETTER, ExperimentState.NOT_WORSE)
        if chosen is not experiment.reference and chosen.state not in good and not force:
            raise GateRefused(
                f"Arm {chosen.name} of {experiment.named} is {chosen.state.value}, neither better nor not worse; "
                "add --force to promote it even so.",
                code="undecided",
            )
        return self._experiments.end(self._actor, experiment.id, reason, chosen.version)

    def record(self, answers: Sequence[Answer], shadows: Sequence[ShadowResult] = ()) -> None:
        if answers or shadows:
            self._experiments.record(answers, shadows)

    def differing(self, adapter: str, alias: str, limit: int = 20) -> tuple[DifferentAnswers, ...]:
        if not 0 < limit <= _MOST_SHOWN:
            raise UsageError(f"{limit} answers cannot be shown; give 1 to {_MOST_SHOWN:,}.", code="bad_limit")
        return self._experiments.differing(self._find(adapter, alias).id, limit)

    def add_feedback(self, completion: str, key: str, metric: str, value: float) -> Feedback:
        return self._experiments.add_feedback(completion, key, metric, value)

    def review(self, ident: int) -> Experiment:
        observed = self._experiments.observed(ident, with_callers=False)
        if observed.experiment.ended_at is not None:
            return observed.experiment
        found = review(observed.experiment, observed.tallies, observed.looks, observed.at)
        if not (found.looks or found.states or found.stopped):
            return observed.experiment
        return self._experiments.keep_review(self._actor, ident, found)

    def _find(self, adapter: str, alias: str) -> Experiment:
        check_alias_name(alias)
        check_known(self._catalog, adapter)
        found = self._experiments.list(adapter, alias)
        if not found:
            raise NotFound(
                f"There is no experiment on {adapter}@{alias}; begin one with "
                f"'lorarack experiment start {adapter}@{alias} --arm VERSION=90 --arm VERSION=10'.",
                code="unknown_experiment",
            )
        return found[0]

    def _named(self, adapter: str, alias: str) -> int:
        """The version that the alias names, if an experiment may start there."""
        check_alias_name(alias)
        check_known(self._catalog, adapter)
        found = next((each for each in self._catalog.aliases(adapter) if each.name == alias), None)
        if found is None:
            raise NotFound(
                f"Adapter {adapter!r} has no alias {alias!r}; set it with 'lorarack alias set {adapter}@{alias} VERSION'.",
                code="unknown_alias",
            )
        for running in self._experiments.list(adapter, alias)[:1]:
            if running.ended_at is None:
                raise Conflict(
                    f"{running.named} has an experiment already; end it with 'lorarack experiment stop {running.named}'.",
                    code="experiment_running",
                )
        return found.version

    def _arms(self, adapter: str, alias: str, given: Sequence[tuple[str, float]], named: int) -> tuple[Arm, ...]:
        if not 2 <= len(given) <= MOST_ARMS:
            raise UsageError(
                f"An experiment has 2 to {MOST_ARMS} arms, not {len(given)}; write --arm 3=90 --arm 5=10.",
                code="bad_arms",
            )
        _check_weights(given)
        base = self._catalog.adapter(adapter)
        arms: list[Arm] = []
        for text, weight in given:
            version = self._resolved(adapter, text, base.base if base else "")
            twins = sum(arm.version == version.number for arm in arms)
            name = str(version.number) + ("" if not twins else chr(ord("a") + twins))
            arms.append(Arm(name=name, version=version.number, weight=weight))
        reference = next((arm for arm in arms if arm.version == named), None)
        if reference is None:
            raise Conflict(
                f"{adapter}@{alias} names version {named}, which is none of the arms; give it one, as the reference: "
                f"--arm {named}=50.",
                code="no_reference",
            )
        return (reference, *(arm for arm in arms if arm is not reference))

    def _resolved(self, adapter: str, text: str, base: str) -> Version:
        version = versions.resolve(self._catalog, text if "@" in text else f"{adapter}@{text}")
        if version.base != base:
            raise Conflict(
                f"{version.reference} is on base {version.base!r} and {adapter} on {base!r}; arms share one base.",
                code="other_base",
            )
        if version.adapter != adapter:
            raise UsageError(
                f"{version.reference} is no version of {adapter!r}; an alias can only name those, so arms are such.",
                code="bad_arms",
            )
        return version

    def _arm(self, experiment: Experiment, text: str) -> Arm:
        name = text.rpartition("@")[2]
        found = experiment.arm(name)
        if found is None:
            listed = ", ".join(arm.name for arm in experiment.arms)
            raise NotFound(f"{experiment.named} has no arm {text!r}; it has {listed}.", code="unknown_arm")
        return found

    def _version(self, adapter: str, number: int) -> Version | None:
        try:
            return versions.get_by_number(self._catalog, adapter, number)
        except NotFound:
            return None

    def _earlier(self, adapter: str) -> Iterator[Observed]:
        """What was observed of the adapter's experiments, the newest first."""
        for earlier in self._experiments.list(adapter):
            yield self._experiments.observed(earlier.id, with_callers=False)


def _check_weights(arms: Sequence[tuple[str, float]]) -> None:
    total, listed = sum(weight for _, weight in arms), " + ".join(f"{weight:g}" for _, weight in arms)
    problem = f"add up to 100, not {total:g}" if abs(total - 100) > 1e-6 else None
    if not all(0 < weight < 100 for _, weight in arms):
        problem = "each be above 0 and below 100"
    if problem:
        raise UsageError(f"The weights {listed} must {problem}; they are per cent of the callers.", code="bad_weights")


def _check_metric(metric: str) -> None:
    if not _METRIC.fullmatch(metric):
        raise UsageError(
            f"{metric!r} is no name of a metric; feedback comes under one, for example --metric {THUMBS}.",
            code="bad_metric",
        )
