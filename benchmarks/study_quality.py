"""Whether studies find what independent training finds: E2E NLG as rows of prompt and completion, a real base.

    python -m benchmarks.study_quality E2E_TRAIN.jsonl BASE_FOLDER --rows 96 --validation 32 --steps 24 --ranks 1 2 4 8 16

Prints each strategy's report and, with --independent, the validation loss of every rank trained by itself beside the studies'.
"""

import argparse
import json
import random
import tempfile
import time
from pathlib import Path
from typing import Any

from lorarack.adapters.recipe import Recipe, make_recipe
from lorarack.registry import open_registry
from lorarack.registry.cli.output import out, talk


def main() -> None:
    """Run the strategies that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("base", type=Path)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--validation", type=int, default=200)
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32])
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--strategies", nargs="+", default=["ladder", "ascend"])
    parser.add_argument("--independent", action="store_true")
    parser.add_argument("--keep", type=Path, help="where registry, rows and studies lie; else a temporary folder")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        _run(asked, asked.keep or Path(made))


def _run(asked: Any, home: Path) -> None:
    from lorarack.adapters.studies.run import study
    from lorarack.adapters.studies.table import as_table
    from lorarack.adapters.training.progress import ConsoleProgress
    from lorarack.adapters.training.run import train

    recipe = recipe_of(asked, home)
    with open_registry(home / "registry") as registry, ConsoleProgress(talk) as progress:
        registry.add_base(str(asked.base), "base")
        found: dict[str, dict[int, float]] = {}
        for strategy in asked.strategies:
            started = time.monotonic()
            report = study(
                recipe, registry, progress, strategy=strategy, ranks=tuple(asked.ranks), folder=home / "studies"
            )
            out.print(as_table(report))
            out.print(f"{strategy}: {time.monotonic() - started:.0f} s")
            found[strategy] = {line.rank: line.eval_loss for line in report.ranks if line.reference}
        if asked.independent:
            started = time.monotonic()
            losses = {}
            for done in train(recipe, registry, progress, reuse=True):
                metric = done.version.metric("loss", "validation")
                losses[done.version.rank] = metric.value if metric else float("nan")
            out.print(f"independent: {time.monotonic() - started:.0f} s")
            ratios = {
                strategy: {rank: round(loss / losses[rank], 4) for rank, loss in found[strategy].items()}
                for strategy in found
            }
            out.print(json.dumps({"independent": losses, "ratios": ratios}))


def recipe_of(asked: Any, home: Path) -> Recipe:
    """Rows drawn by the seed, so that no prompt is in both parts."""
    prompts: dict[str, list[str]] = {}
    for line in asked.data.read_text(encoding="utf-8").splitlines():
        prompts.setdefault(json.loads(line)["prompt"], []).append(line)
    drawn = list(prompts.values())
    random.Random(asked.seed).shuffle(drawn)
    validation = [lines[0] for lines in drawn[: asked.validation]]
    train = [line for lines in drawn[asked.validation :] for line in lines][: asked.rows]
    home.mkdir(parents=True, exist_ok=True)
    for name, lines in (("train", train), ("validation", validation)):
        (home / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return make_recipe(
        {
            "name": "e2e",
            "base": "base",
            "data": {name: str(home / f"{name}.jsonl") for name in ("train", "validation")},
            "ranks": sorted(asked.ranks),
            "max_steps": asked.steps,
            "learning_rate": asked.rate,
            "batch_size": 4,
            "seed": asked.seed,
        }
    )


if __name__ == "__main__":
    main()
