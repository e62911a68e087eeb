"""``grid``: every rank at several learning rates, since the best rate may depend on the rank; hopeless runs end early."""

import warnings

import optuna

from lorarack.adapters.studies.records import RunRecord
from lorarack.adapters.studies.session import StudySession
from lorarack.adapters.training.fit import Validation

#: Runs before any is given up, and validations before a run may be.
_FIRST_RUNS, _FIRST_VALIDATIONS = 2, 1


def grid(session: StudySession) -> list[RunRecord]:
    """For each rank the run with the lowest validation loss.

    A run is given up after a validation whose loss is above the median of the finished runs' at that step (optuna's median rule).
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    plan = session.plan
    space: dict[str, list[str | float | int | bool | None]] = {"rank": list(plan.ranks), "rate": list(plan.rates)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study = optuna.create_study(
            sampler=optuna.samplers.GridSampler(space, seed=session.recipe.seed),
            pruner=optuna.pruners.MedianPruner(_FIRST_RUNS, _FIRST_VALIDATIONS),
        )
    runs = []
    for rank in plan.ranks:
        for rate in plan.rates:
            study.enqueue_trial({"rank": rank, "rate": rate})
            runs.append(_run(session, study.ask(), rank, rate))
            study.tell(len(runs) - 1, runs[-1].eval_loss)
    best: dict[int, RunRecord] = {}
    for run in runs:
        if run.rank not in best or run.eval_loss < best[run.rank].eval_loss:
            best[run.rank] = run
    return [best[rank] for rank in plan.ranks]


def _run(session: StudySession, trial: optuna.Trial, rank: int, rate: float) -> RunRecord:
    trial.suggest_categorical("rank", session.plan.ranks)
    trial.suggest_categorical("rate", session.plan.rates)

    def hopeless(validation: Validation) -> bool:
        trial.report(validation.validation.mean, validation.step)
        return bool(trial.should_prune())

    key = f"trained-r{rank}-{rate:.3e}".replace("+", "")
    recipe = session.recipe.model_copy(update={"learning_rate": rate})
    found = session.folder.find(key)
    run = session.train(key, rank, recipe=recipe, give_up=hopeless)
    if found:  # of an earlier session: its curve is what later runs are held against
        for metric in found.metrics:
            if metric.split == "validation" and metric.step is not None:
                trial.report(metric.value, metric.step)
    return run
