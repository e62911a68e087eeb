"""``make bench-study``: do studies find what whole runs find? Each loss is divided by that of a run of its own, in one run.

    python -m benchmarks.bench_study ROWS.jsonl [rates] [quality] [--base FOLDER]

ROWS.jsonl has rows of prompt and completion, as E2E NLG's. Without ``--base`` a base of a million parameters is pre-trained on the
rows' answers first, which takes a minute; what holds on it need not hold on a large one.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.report import Row, report
from benchmarks.small_base import make_base
from benchmarks.study_quality import recipe_of

from lorarack.adapters.recipe import Recipe
from lorarack.adapters.training.progress import Silent
from lorarack.registry import Registry, open_registry
from lorarack.registry.values import Version

#: A rank of a study counts as good where its loss is at most so many times that of a run of its own.
QUALITY = 1.01
#: What choosing the learning rate may cost in loss, and in time.
REGRET, TIME = 1.005, 0.15
RATES = (3.2e-4, 1e-3, 3.2e-3, 1e-2, 3.2e-2)


def main() -> None:
    """Run the parts that are asked for, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("part", nargs="*", choices=[*PARTS, []], default=[])
    parser.add_argument("--base", type=Path)
    parser.add_argument("--rows", type=int, default=800)
    parser.add_argument("--validation", type=int, default=64)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--rate", default="auto", help="of the quality part")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--strategies", nargs="+", default=["ladder", "ascend"])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lorarack-bench-") as folder:
        home = Path(folder)
        recipe = recipe_of(asked, home)
        with open_registry(home / "registry") as registry:
            registry.add_base(str(asked.base or _small(asked.data, home)), "base")
            rows = [row for part in asked.part or PARTS for row in PARTS[part](asked, recipe, registry)]
    report("study", rows, _versions())


def rates(asked: Any, recipe: Recipe, registry: Registry) -> list[Row]:
    """``learning_rate: auto`` beside whole runs at five rates."""
    from lorarack.adapters.training.learning_rate import probe_behind

    made = []
    for rank in (min(asked.ranks), max(asked.ranks)):
        alone = recipe.model_copy(update={"ranks": (rank,), "patience": None})
        chosen = _trained(alone.model_copy(update={"learning_rate": "auto"}), registry)[rank]
        probe = probe_behind(chosen)
        assert probe is not None
        losses = {
            rate: _loss(_trained(alone.model_copy(update={"learning_rate": rate}), registry)[rank]) for rate in RATES
        }
        best = min(losses, key=losses.__getitem__)
        ratio = _loss(chosen) / losses[best]
        share = probe.seconds / ((chosen.provenance and chosen.provenance.wall_seconds) or 1)
        note = f"{probe.reason}; {share:.0%} of the run's seconds (goal {TIME:.0%}); whole runs: " + ", ".join(
            f"{rate:g} {loss:.4f}" for rate, loss in losses.items()
        )
        what = f"learning rate auto ÷ best of {len(RATES)} whole runs, rank {rank}, {asked.steps} steps"
        ours, peer = f"{_loss(chosen):.4f} at {probe.rate:g}", f"{losses[best]:.4f} at {best:g}"
        made.append(Row(what, ours, peer, ratio, f"≤ {REGRET}", ratio <= REGRET and share <= TIME, note))
    return made


def quality(asked: Any, recipe: Recipe, registry: Registry) -> list[Row]:
    """Every rank that a strategy publishes beside a run of its own, at the same learning rate."""
    from lorarack.adapters.studies.run import study

    made = []
    with tempfile.TemporaryDirectory(prefix="lorarack-studies-") as folder:
        for strategy in asked.strategies:
            found = study(recipe, registry, strategy=strategy, ranks=tuple(asked.ranks), folder=Path(folder))
            rate = next(line.learning_rate for line in found.ranks)
            alone = _trained(recipe.model_copy(update={"learning_rate": rate}), registry)
            whole = sum((version.provenance and version.provenance.wall_seconds) or 0 for version in alone.values())
            seconds = sum(line.seconds for line in found.ranks)
            best = min(alone, key=lambda rank: _loss(alone[rank]))
            for line in found.ranks:
                if line.reference is None or line.rank not in alone:
                    continue
                peer = _loss(alone[line.rank])
                chosen = " (recommended)" if line.reference == found.recommended.reference else ""
                what = f"{strategy}, rank {line.rank}, {line.source}{chosen}, {asked.steps} steps at {rate:g}"
                ratio = line.eval_loss / peer
                note = f"{seconds:.0f} s for all ranks, {whole:.0f} s for a run each, in which rank {best} is best"
                made.append(
                    Row(what, f"{line.eval_loss:.4f}", f"{peer:.4f}", ratio, f"≤ {QUALITY}", ratio <= QUALITY, note)
                )
    return made


PARTS: dict[str, Callable[[Any, Recipe, Registry], list[Row]]] = {"rates": rates, "quality": quality}


def _trained(recipe: Recipe, registry: Registry) -> dict[int, Version]:
    from lorarack.adapters.training.run import train

    return {done.version.rank: done.version for done in train(recipe, registry, Silent(), reuse=True)}


def _loss(version: Version) -> float:
    metric = version.metric("loss", "validation")
    return metric.value if metric else float("nan")


def _small(data: Path, home: Path) -> Path:
    lines = data.read_text(encoding="utf-8").splitlines()
    return make_base(home / "base", [json.loads(line)["completion"].strip() for line in lines])


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("torch", "peft", "transformers")}


if __name__ == "__main__":
    main()
