"""Do studies recommend what whole runs recommend? Pairs of data set and seed, each by whole runs, ``ladder`` and ``ascend``.

    python -m benchmarks.study_pairs e2e.jsonl clinc150.jsonl --seeds 5

The files have rows of prompt and completion (`benchmarks.study_rows` makes them). Whole runs are a ``grid`` of one learning rate: a
run for every rank, and the recommendation by the same rule. The base of a data set has a million parameters and was pre-trained on
the texts of its rows (`benchmarks.small_base`), which takes a minute.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.report import Row, report
from benchmarks.small_base import make_base
from benchmarks.study_quality import recipe_of

from lorarack.adapters.studies.plan import Strategy
from lorarack.adapters.studies.report import StudyReport
from lorarack.registry import Registry, open_registry

QUALITY = 1.01
STRATEGIES: tuple[Strategy, ...] = ("ladder", "ascend")
#: Of ten pairs, that many are to agree.
AGREEING = 0.9


def main() -> None:
    """All pairs, and how many agree."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=800)
    parser.add_argument("--validation", type=int, default=200)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--strategies", nargs="+", choices=STRATEGIES, default=STRATEGIES)
    asked = parser.parse_args()
    pairs: dict[Strategy, list[Row]] = {strategy: [] for strategy in asked.strategies}
    for data in asked.data:
        with (
            tempfile.TemporaryDirectory(prefix="lorarack-bench-") as folder,
            open_registry(Path(folder) / "r") as registry,
        ):
            texts = [
                text for line in data.read_text(encoding="utf-8").splitlines() for text in _texts(json.loads(line))
            ]
            registry.add_base(str(make_base(Path(folder) / "base", texts)), "base")
            for seed in range(asked.seeds):
                for strategy, row in _pair(data, seed, asked, Path(folder), registry).items():
                    print(f"  {row.what}: {row.ours} against {row.peer}; {row.note}", file=sys.stderr, flush=True)
                    pairs[strategy].append(row)
    report("pairs", [row for rows in pairs.values() for row in (*rows, _agreement(rows))], {})


def _texts(row: dict[str, Any]) -> tuple[str, str]:
    return row["prompt"].strip(), row["completion"].strip()


def _pair(data: Path, seed: int, asked: Any, home: Path, registry: Registry) -> dict[Strategy, Row]:
    """One data set and seed: rows are drawn and runs begin by the seed."""
    from lorarack.adapters.studies.run import study

    given = argparse.Namespace(**{**vars(asked), "data": data, "seed": seed})
    recipe = recipe_of(given, home / f"seed-{seed}")
    ranks, folder = tuple(asked.ranks), home / "studies"
    whole = study(recipe, registry, strategy="grid", ranks=ranks, rates=(asked.rate,), folder=folder)
    return {
        strategy: _row(
            f"{strategy}, {data.stem}, seed {seed}",
            whole,
            study(recipe, registry, strategy=strategy, ranks=ranks, folder=folder),
        )
        for strategy in asked.strategies
    }


def _row(what: str, whole: StudyReport, found: StudyReport) -> Row:
    """A pair agrees where the rank is the same and each rank that was reached has at most 1.01 of the loss of its whole run."""
    alone = {line.rank: line.eval_loss for line in whole.ranks}
    ratios = {
        line.rank: line.eval_loss / alone[line.rank] for line in found.ranks if line.reference and line.rank in alone
    }
    ours, peer = found.recommended.rank, whole.recommended.rank
    published = next(line.eval_loss for line in found.ranks if line.reference == found.recommended.reference)
    note = (
        f"loss ÷ whole run's by rank: {', '.join(f'{rank}: {ratio:.4f}' for rank, ratio in ratios.items())}; whole runs: "
        f"{', '.join(f'{rank}: {loss:.4f}' for rank, loss in alone.items())}; "
        f"recommended version ÷ the one that whole runs recommend: {published / alone[peer]:.4f}"
    )
    return Row(
        what,
        f"rank {ours}",
        f"rank {peer}",
        max(ratios.values()),
        f"≤ {QUALITY}, same rank",
        ours == peer and max(ratios.values()) <= QUALITY,
        note,
    )


def _agreement(rows: list[Row]) -> Row:
    agreeing = sum(bool(row.met) for row in rows)
    strategy = rows[0].what.partition(",")[0]
    return Row(
        f"{strategy}: pairs that agree",
        f"{agreeing} of {len(rows)}",
        ratio=agreeing / len(rows),
        goal=f"≥ {AGREEING}",
        met=agreeing >= AGREEING * len(rows),
    )


if __name__ == "__main__":
    main()
