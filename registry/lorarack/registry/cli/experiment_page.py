"""What people see of experiments: forecasts, lists, the page of one, and answers side by side."""

from rich.console import Group, RenderableType
from rich.markup import escape

from lorarack.registry.cli.render import table
from lorarack.registry.cli.sequence_plot import plot
from lorarack.registry.experiment.observed import ExperimentStatus
from lorarack.registry.experiment.requests_needed import pairs_needed
from lorarack.registry.experiment.review import spelled
from lorarack.registry.experiment.shadow import DifferentAnswers
from lorarack.registry.experiment.values import Experiment, NewExperiment, alpha_of_each


def forecast(planned: NewExperiment) -> str:
    """How many requests it will take, in a sentence or two."""
    pilot = planned.plan.pilot
    known = (
        f"taken from {pilot.count:,.0f} earlier scores with mean {pilot.mean:.2f}"
        if pilot.count > 1
        else "with a mean of one half, the slowest case: there are no earlier scores of it"
    )
    if planned.plan.needed is None:
        return f"No number of requests that anybody waits for will decide a margin of {planned.plan.margin:g}, {known}."
    told = (
        f"About {planned.plan.needed:,} requests with feedback will show that an arm as good as the reference is not worse by "
        f"{planned.plan.margin:g}, {known}. Undecided after {planned.plan.limit:,}."
    )
    return f"{told} {_paired(planned)}" if planned.plan.shadow else told


def _paired(planned: NewExperiment) -> str:
    """What shadow answers change of that."""
    arms, plan = planned.arms, planned.plan
    if plan.differing is not None:
        return f"That counts on shadow answers, {100 * plan.differing:.1f} % of which differed between these versions before."
    alpha, least = alpha_of_each(len(arms), shadow=True), min(arm.weight for arm in arms[1:])
    few, many = (
        pairs_needed(share, least / (least + arms[0].weight), plan.margin, alpha) or 0 for share in (0.05, 0.2)
    )
    return (
        f"Of requests that both arms answer, one in shadow, about {few:,} will do if 5 % of the answers differ, and {many:,} if "
        "20 % do; 'status' tells which, once there are 30."
    )


def split(experiment: Experiment) -> str:
    """The arms with their weights."""
    return ", ".join(f"version {arm.version} ({arm.weight:g} %)" for arm in experiment.arms)


def listing(experiments: tuple[Experiment, ...]) -> RenderableType:
    """One line an experiment."""
    rows = table("alias", "arms", "metric", ">margin", "state", "started (UTC)", "ended (UTC)")
    for each in experiments:
        arms = ", ".join(f"{arm.name} {arm.weight:g} %{' stopped' if arm.stopped else ''}" for arm in each.arms)
        ended = f"{each.ended_at:%Y-%m-%d %H:%M}" if each.ended_at else "–"
        rows.add_row(
            f"{each.adapter}@{each.alias}", arms, each.plan.metric, f"{each.plan.margin:g}", each.state.value,
            f"{each.started_at:%Y-%m-%d %H:%M}", ended,
        )  # fmt: skip
    return rows


def page(status: ExperimentStatus) -> RenderableType:
    """All that is known of one."""
    experiment = status.experiment
    newest = {(look.arm, look.other): look for look in status.looks}
    rows = table("arm", ">share", ">callers", ">requests", ">errors", ">scored", ">mean", "difference (95 %)", "state")
    parts: list[RenderableType] = []
    for arm in experiment.arms:
        tally = status.tallies[arm.name]
        look = newest.get((arm.name, experiment.reference.name))
        is_reference = arm is experiment.reference
        rows.add_row(
            f"{experiment.adapter}@{arm.version}"
            if arm.name == str(arm.version)
            else f"{experiment.adapter}@{arm.name}",
            f"{experiment.shares[arm.name]:g} %",
            f"{status.callers.get(arm.name, 0):,}",
            f"{tally.requests:,}",
            f"{tally.errors:,}",
            f"{tally.scores.count:,.0f}",
            "–" if tally.scores.mean is None else f"{tally.scores.mean:.3f}",
            "reference" if is_reference else spelled(look) if look else "–",
            "" if is_reference else "stopped" if arm.stopped else experiment.state_of(arm).value,
        )
        if arm.stopped:
            parts.append(f"Arm {arm.name} gets no more requests: {escape(arm.stopped)}.")
        if not is_reference and look:
            looks = [each for each in status.looks if (each.arm, each.other) == (arm.name, experiment.reference.name)]
            parts.append(plot(f"{arm.name} minus {experiment.reference.name}", looks, experiment.plan.margin))
    until = f", ended {experiment.ended_at:%Y-%m-%d %H:%M}" if experiment.ended_at else ""
    needed = f"about {experiment.plan.needed:,} scored requests were foreseen" if experiment.plan.needed else ""
    head = (
        f"[bold]{experiment.named}[/bold] since {experiment.started_at:%Y-%m-%d %H:%M} UTC{until}: "
        f"{experiment.plan.metric}, margin {experiment.plan.margin:g}; {needed}"
    )
    if experiment.plan.guards:
        parts.append(f"Guards: {escape(', '.join(experiment.plan.guards))}")
    if experiment.plan.shadow:
        parts.append(_shadows(status))
    if status.mismatch:
        parts.append("[red]Callers do not fall on the arms as the weights say: trust none of these figures.[/red]")
    if status.recommended and experiment.ended_at is None:
        parts.append(f"Recommended: {status.recommended}; 'lorarack experiment promote {experiment.named}' keeps it.")
    return Group(head, rows, *parts)


def answers_side_by_side(found: tuple[DifferentAnswers, ...]) -> RenderableType:
    """One row a request."""
    rows = table("answer", "at (UTC)", "arm", "returned", "in shadow", ">feedback")
    for each in found:
        rows.add_row(
            escape(each.completion),
            f"{each.at:%m-%d %H:%M:%S}",
            f"{each.arm}, then {each.other}",
            escape(each.text or ""),
            "[dim]not to the end[/dim]" if each.shadow_text is None else escape(each.shadow_text),
            "–" if each.value is None else f"{each.value:g}",
        )
    return rows


def _shadows(status: ExperimentStatus) -> str:
    """What became of the shadow of every request."""
    found = status.shadow
    requests = found.counted + status.shadows_waiting
    parts = [f"{found.recorded:,} recorded ({found.same:,} the same answer, {found.different:,} another)"]
    if found.skipped:
        listed = ", ".join(f"{count:,} {reason.value}" for reason, count in found.skipped.items())
        parts.append(f"{sum(found.skipped.values()):,} skipped ({listed})")
    if status.shadows_waiting:
        parts.append(f"{status.shadows_waiting:,} waiting")
    said = f"Shadow answers to {requests:,} requests: {', '.join(parts)}."
    if status.differing is not None and status.pairs_needed is not None and status.experiment.ended_at is None:
        said += f" With {100 * status.differing:.1f} % of them different, about {status.pairs_needed:,} scored pairs decide it."
    return said
