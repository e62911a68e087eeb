"""A study at work: the base is loaded once, when the first run needs it, and every finished run is kept."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import torch
from safetensors import SafetensorError

from lorarack.adapters.ranks.growth import grow
from lorarack.adapters.ranks.truncate import Truncation
from lorarack.adapters.ranks.weights import Factors, LoraWeights, read_weights, write_weights
from lorarack.adapters.recipe import Recipe
from lorarack.adapters.studies.plan import StudyPlan, rates_around
from lorarack.adapters.studies.records import PROBE_FILE, RunRecord, Source, StudyFolder, losses_of
from lorarack.adapters.training.fit import Validation, final_metrics
from lorarack.adapters.training.inputs import Inputs
from lorarack.adapters.training.loaded_base import LoadedBase, open_base
from lorarack.adapters.training.plan import make_plan
from lorarack.adapters.training.progress import TrainingProgress
from lorarack.adapters.training.rate_probe import probe_rate
from lorarack.adapters.training.train_rank import Start, train_rank
from lorarack.registry.errors import StoreError

#: The learning rate, as a share of a run's, for weights that are good already: at the whole rate they forget what they know.
GENTLE = 0.3
#: Share of a round in which the learning rate rises.
_ROUND_WARMUP = 0.2
#: Ranks' rounds are so far apart in their seeds, and from the seeds of the study.
_APART = 1000


class StudySession:
    """What the strategies are made of: train, continue, look, keep."""

    def __init__(
        self,
        inputs: Inputs,
        plan: StudyPlan,
        folder: StudyFolder,
        progress: TrainingProgress,
        opened: Callable[[], LoadedBase] | None = None,
    ) -> None:
        self.inputs = inputs
        self.plan = plan
        self.folder = folder
        self.progress = progress
        self._open = opened or cache(lambda: open_base(inputs, progress))

    @property
    def base(self) -> LoadedBase:
        """The base in memory."""
        return self._open()

    def with_seed(self, seed: int) -> "StudySession":
        """The same study with another seed: its runs lie in a folder of their own, and the base is loaded only once."""
        inputs = replace(self.inputs, recipe=self.recipe.model_copy(update={"seed": seed}))
        folder = StudyFolder(self.folder.place / f"seed-{seed}")
        return StudySession(inputs, self.plan, folder, self.progress, self._open)

    def choose_rate(self) -> None:
        """Choose the learning rate by short runs at the rank that is trained first, unless an earlier session has."""
        rank = self.plan.ranks[0] if self.plan.strategy == "ascend" else self.plan.top
        found = self.folder.find_probe()
        if found is None:
            found = probe_rate(self.base, self.recipe, rank, self.progress)
            self.folder.write_bytes(PROBE_FILE, f"{found.model_dump_json(indent=2)}\n".encode())
            self.progress.note(f"Learning rate {found.rate:g}: {found.reason}.")
        self.inputs = self.inputs.at_rate(found)
        if self.plan.strategy == "grid" and not self.plan.rates:
            self.plan = self.plan.model_copy(update={"rates": rates_around(found.rate)})

    @property
    def recipe(self) -> Recipe:
        """How a whole run goes."""
        return self.inputs.recipe

    def steps(self) -> int:
        """Of a whole run."""
        return make_plan(self.recipe, len(self.base.tokens.train)).steps

    def shorter(self, share: float, rate: float = 1.0) -> Recipe:
        """The recipe of a run of ``share`` of the steps, at a share of the learning rate, measured at its end."""
        steps = max(2, math.ceil(share * self.steps()))
        changes = {"max_steps": steps, "eval_every": steps, "warmup": 0.0}
        return self.recipe.model_copy(update={**changes, "learning_rate": rate * self.recipe.peak_rate})

    def round(self, rank: int, number: int, rate: float = 1.0) -> Recipe:
        """The recipe of a round of a rank that goes on from another: its rows are drawn anew, and the rate rises first.

        Without that a round sees the rows of the one before it again, and its first steps, before Adam knows the size of the
        gradients, undo what was learned.
        """
        seed = (self.recipe.seed + _APART * rank + number) % 2**32
        short = self.shorter(self.plan.share, rate)
        return short.model_copy(update={"seed": seed, "warmup": _ROUND_WARMUP})

    def train(
        self,
        key: str,
        rank: int,
        source: Source = "trained",
        recipe: Recipe | None = None,
        start: Start | None = None,
        parent: RunRecord | None = None,
        give_up: Callable[[Validation], bool] | None = None,
        before: RunRecord | None = None,
    ) -> RunRecord:
        """The run ``key``, made now unless it is finished already.

        Args:
            key: names it in the study.
            rank: of the adapter.
            source: how it is called in reports.
            recipe: another than the study's.
            start: where the adapter begins, if that is a trained one.
            parent: the run that ``start`` comes from.
            give_up: asked after each validation whether to go no further.
            before: the run that this one goes on with; its steps and seconds are counted too.

        Raises:
            EngineError: the loss diverged, memory ran out, or the base cannot be loaded.
            StoreError: the study's folder.
        """
        if found := self.folder.find(key):
            return found
        used = recipe or self.recipe
        stopped: list[bool] = []

        def asked(validation: Validation) -> bool:
            stopped.append(give_up is not None and give_up(validation))
            return stopped[-1]

        workspace = self.folder.workspace(key)
        outcome = train_rank(self.base, used, rank, workspace, self.progress, start, asked)
        return self.folder.keep(
            RunRecord(
                key=key,
                rank=rank,
                source=source,
                fit=outcome.fit,
                losses=losses_of(outcome.best.validation),
                train_losses=losses_of(outcome.best.train),
                seconds=round(outcome.wall_seconds + (before.seconds if before else 0), 1),
                rate=used.peak_rate,
                steps=make_plan(used, len(self.base.tokens.train)).steps + (before.steps if before else 0),
                parent=parent.key if parent else None,
                given_up=any(stopped),
                metrics=outcome.metrics,
                reference=outcome.reference,
            )
        )

    def truncated(self, looked: RunRecord, top: RunRecord) -> RunRecord:
        """A rank that was looked at, with its weights."""
        key = f"truncated-r{looked.rank}"
        if found := self.folder.find(key):
            return found
        write_weights(Truncation(self.weights(top)).at(looked.rank), self.folder.workspace(key))
        digests = self.inputs.train.digest, self.inputs.validation.digest
        changes = {"key": key, "weights": True, "metrics": final_metrics(looked.fit, *digests)}
        return self.folder.keep(looked.model_copy(update=changes))

    def cut(self, run: RunRecord, looked: RunRecord) -> Start:
        """A run at the lower rank that was looked at, with the alpha that the recipe gives it."""
        weights = Truncation(self.weights(run)).at(looked.rank, self.recipe.alpha_of(looked.rank))
        return Start(weights.factors, looked.measured)

    def end(self, run: RunRecord) -> Start:
        """A run where it ended."""
        return Start(self.weights(run).factors, run.measured)

    def grown(self, run: RunRecord, rank: int) -> Start:
        """A run at a higher rank: the same function."""
        weights = self.weights(run)
        generator = torch.Generator().manual_seed(self.recipe.seed)
        config = {**weights.config, "r": rank, "lora_alpha": self.recipe.alpha_of(rank)}
        larger = LoraWeights(config, weights.factors).applied
        factors = {}
        for module, found in weights.factors.items():
            old = weights.applied.scaling_of(module, len(found.a))
            a, b = grow(found.a, found.b, rank, larger.scaling_of(module, rank) / old, generator)
            factors[module] = Factors(a, b, found.end)
        return Start(factors, run.measured)

    def weights(self, run: RunRecord) -> LoraWeights:
        """The weights of a finished run.

        Raises:
            StoreError: they are damaged or gone.
        """
        folder = self.folder.weights(run.key)
        try:
            return read_weights(folder, run.key)
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            said = f"The weights in {str(folder)!r} cannot be read; remove that folder to run it again."
            raise StoreError(said) from error
