"""From a recipe to a recommended rank and a published family."""

from collections.abc import Callable, Sequence
from pathlib import Path

from lorarack.adapters.evaluation.server import EvaluationServer
from lorarack.adapters.progress import EvaluationProgress
from lorarack.adapters.progress import Silent as SilentEvaluation
from lorarack.adapters.recipe import Recipe
from lorarack.adapters.silence_libraries import silence_libraries
from lorarack.adapters.studies.family_scores import check_scores, score_family
from lorarack.adapters.studies.plan import Strategy, StudyPlan, plan_study
from lorarack.adapters.studies.records import RunRecord, StudyFolder
from lorarack.adapters.studies.report import Recommended, StudiedScore, StudyReport, studied, studied_rates
from lorarack.adapters.studies.seeds import losses_by_rank
from lorarack.adapters.training.inputs import Inputs, read_inputs
from lorarack.adapters.training.progress import Silent, TrainingProgress
from lorarack.adapters.training.run import need_packages
from lorarack.registry.errors import UsageError
from lorarack.registry.interface import Registry
from lorarack.registry.settings import home_folder

MOST_SEEDS = 100
_LOCAL = EvaluationServer()
_SILENT = SilentEvaluation()


def study(
    recipe: Recipe,
    registry: Registry,
    progress: TrainingProgress | None = None,
    *,
    strategy: Strategy = "ladder",
    ranks: tuple[int, ...] = (),
    margin: float = 0.01,
    rates: tuple[float, ...] = (),
    seeds: int = 1,
    scores: Sequence[str] = (),
    server: EvaluationServer = _LOCAL,
    evaluation: EvaluationProgress = _SILENT,
    folder: Path | None = None,
) -> StudyReport:
    """Find the rank: train, look at other ranks, recommend one by the margin rule, publish the family.

    The study keeps its finished runs in a folder. The same call goes on where an earlier one was stopped.

    Args:
        recipe: how a whole run goes.
        registry: where the base is known and the versions go.
        progress: hears about steps and validations.
        strategy: ``ladder``, ``ascend`` or ``grid``.
        ranks: candidates; without them the recipe's, or the powers of two up to its one.
        margin: a loss higher by this share counts as not worse.
        rates: learning rates of a grid; without them the recipe's, a third of it and three times it.
        seeds: how many seeds; the recipe's and those after it. The first one's family is published.
        scores: of the published versions' answers on the recipe's test rows, as ``compare`` has them; none asks no server.
        server: a running server, or how to start one; by default one is started and stopped.
        evaluation: hears about the server.
        folder: of all studies; without it ``studies`` in lorarack's home.

    Raises:
        NotFound: no such base or file.
        Conflict: the adapter belongs to another base, a base has its name, the base's files are another model by now, or another
            process works on this study.
        UsageError: bad rows, ranks, rates, seeds, margin or scores.
        EngineError: training failed, or the server did not start; what was finished before is kept.
        NotServeable, NotAllowed, RateLimited, Unavailable: the server; versions are published by then.
        StoreError: disk or database.
    """
    progress = progress or Silent()
    if not 1 <= seeds <= MOST_SEEDS:
        raise UsageError(f"A study takes 1 to {MOST_SEEDS} seeds, not {seeds}.", code="bad_seeds")
    plan = _plan(recipe, strategy, margin, ranks, rates)
    inputs = read_inputs(recipe, registry)
    _check_rows(inputs)
    check_scores(scores, inputs.test, server)
    need_packages()
    for text in inputs.notes:
        progress.note(text)
    name = plan.name(inputs)
    place = StudyFolder((folder or home_folder() / "studies") / name)
    with place.alone():
        finished = place.finished()
        progress.note(
            f"The study goes on; finished runs that are kept: {finished}."
            if finished
            else "If it is stopped, the same command goes on with it."
        )
        report = _conclude(registry, *_families(inputs, plan, seeds, place, progress), place)
        versions = report.versions
        _write(report, place)  # whatever becomes of the scores
        if scores and inputs.test is not None and len(versions) < 2:
            progress.note("Only one version was published, so there is nothing to score it against.")
        elif scores and inputs.test is not None:
            progress.note(f"Recommended: {report.recommended.reference}. The report without scores: {place.place}")
            found = score_family(registry, versions, inputs.test, scores, place, server, evaluation)
            scored = (StudiedScore(score=one.score, verdict=one.verdict, comparison=one) for one in found)
            report = report.model_copy(update={"scores": tuple(scored)})
            _write(report, place)
        return report


def _families(
    inputs: Inputs, plan: StudyPlan, seeds: int, place: StudyFolder, progress: TrainingProgress
) -> tuple[Inputs, StudyPlan, list[list[RunRecord]]]:
    """All runs, by seed; the base leaves memory with them, before a server takes it."""
    with silence_libraries():
        from lorarack.adapters.studies.session import StudySession

        session = StudySession(inputs, plan, place, progress)
        if inputs.recipe.learning_rate == "auto":
            session.choose_rate()
        families = [_strategy(plan.strategy)(session)]
        for seed in _further(inputs.recipe.seed, seeds):
            progress.note(f"seed {seed}")
            families.append(_strategy(plan.strategy)(session.with_seed(seed)))
        return session.inputs, session.plan, families


def _further(first: int, count: int) -> list[int]:
    return [(first + more) % 2**32 for more in range(1, count)]


def _plan(
    recipe: Recipe, strategy: Strategy, margin: float, ranks: tuple[int, ...], rates: tuple[float, ...]
) -> StudyPlan:
    if not 0 < margin < 1:
        raise UsageError(
            f"A margin of {margin:g} is no share of a loss; give one between 0 and 1, as 0.01.", code="bad_margin"
        )
    for rank in ranks:
        if not 1 <= rank <= 512:
            raise UsageError(f"A rank of {rank} is none; ranks are 1 to 512.", code="bad_rank")
    for rate in rates:
        if not 0 < rate <= 1:
            raise UsageError(f"A learning rate of {rate:g} is none; rates are above 0 and at most 1.", code="bad_rate")
    if rates and strategy != "grid":
        raise UsageError(
            "--rate is for --strategy grid; the others take the recipe's learning_rate, or choose one by --learning-rate auto."
        )
    plan = plan_study(recipe, strategy, margin, ranks, rates)
    if len(plan.ranks) < 2 and strategy != "grid":
        raise UsageError(
            "A study needs more than one rank; give --rank twice or more, or one --rank above 1 to look below it.",
            code="one_rank",
        )
    return plan


def _check_rows(inputs: Inputs) -> None:
    if len(inputs.validation) < 2:
        raise UsageError(
            f"{inputs.validation.name} has one validation row; ranks are told apart by many, so give more.",
            code="too_few_rows",
        )


def _strategy(name: Strategy) -> Callable[..., list[RunRecord]]:
    if name == "ladder":
        from lorarack.adapters.studies.ladder import ladder

        return ladder
    if name == "ascend":
        from lorarack.adapters.studies.ascend import ascend

        return ascend
    from lorarack.adapters.studies.grid import grid

    return grid


def _conclude(
    registry: Registry, inputs: Inputs, plan: StudyPlan, families: list[list[RunRecord]], place: StudyFolder
) -> StudyReport:
    from lorarack.adapters.studies.publish import publish_family
    from lorarack.adapters.studies.recommend import recommend

    name = place.place.name
    runs, *others = families
    chosen = recommend(runs, plan.margin, others)
    losses = losses_by_rank(families)
    versions = publish_family(registry, inputs, name, runs, place)
    version = versions[chosen.run.key]
    short = sorted({run.rank for run in runs if run.source == "trained" and run.fit.verdict == "underfit"})
    warning = (
        f"; the whole run at rank {', '.join(map(str, short))} is underfit: train longer before ranks are told apart"
    )
    return StudyReport(
        study=name,
        strategy=plan.strategy,
        margin=plan.margin,
        recommended=Recommended(
            reference=version.reference,
            rank=version.rank,
            reason=f"{chosen.reason}; {version.parameters:,} parameters, {version.bytes:,} bytes{warning if short else ''}",
        ),
        learning_rates=studied_rates(plan, inputs.recipe, inputs.probe),
        seeds=(inputs.recipe.seed, *_further(inputs.recipe.seed, len(families))),
        ranks=tuple(studied(run, versions.get(run.key), losses[run.rank]) for run in runs),
        folder=place.place,
        base_loss=runs[0].fit.base_loss,
        versions=tuple(versions.values()),
    )


def _write(report: StudyReport, place: StudyFolder) -> None:
    """The report as files of the study."""
    from lorarack.adapters.studies.page import as_html
    from lorarack.adapters.studies.plot import as_png

    png = as_png(report)
    place.write_bytes("losses.png", png)
    place.write_bytes("report.html", as_html(report, png).encode())
    place.write_bytes("report.json", (report.model_dump_json(indent=2) + "\n").encode())
