"""``grid``: every rank at several learning rates, since the best rate may depend on the rank; hopeless runs end early."""

import optuna

from lorarack.adapters.studies.records import RunRecord
from lorarack.adapters.studies.session import StudySession
from lorarack.adapters.training.fit import Validation
from lorarack.registry.errors import EngineError

#: Runs before any is given up, and validations before a run may be.
_FIRST_RUNS, _FIRST_VALIDATIONS = 2, 1


def grid(session: StudySession) -> list[RunRecord]:
    """For each rank the run with the lowest validation loss.

    A run is given up after a validation whose loss is above the median of the rank's finished runs at that step (optuna's median
    rule). Only rates of one rank are held against each other: a rank whose runs were cut short could not be told from the others.
    A rate at which training diverges is left out.

    Raises:
        EngineError: training diverged at every rate of a rank, or failed for another reason.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return [min(_runs(session, rank), key=lambda run: run.eval_loss) for rank in session.plan.ranks]


def _runs(session: StudySession, rank: int) -> list[RunRecord]:
    """Of all rates."""
    study = optuna.create_study(pruner=optuna.pruners.MedianPruner(_FIRST_RUNS, _FIRST_VALIDATIONS))
    runs, diverged = [], None
    for rate in session.plan.rates:
        trial = study.ask()
        try:
            runs.append(_run(session, trial, rank, rate))
        except EngineError as error:
            if error.code != "diverged":
                raise
            session.progress.note(f"rank {rank} at a learning rate of {rate:.3g}: training diverged, so it is left out")
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            diverged = error
        else:
            study.tell(trial, runs[-1].eval_loss)
    if diverged and not runs:
        raise diverged
    return runs


def _run(session: StudySession, trial: optuna.Trial, rank: int, rate: float) -> RunRecord:
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
