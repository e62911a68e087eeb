"""One training run and whole studies beside TRL's SFTTrainer: same rows, base, rank, batch, steps, rate and validations.

Each run is a process of its own with one thread, so that its memory and its seconds of the processor are its own; the sides take
turns. TRL is installed beside our packages, once, in the user's cache folder: it runs with the very torch, transformers and PEFT
that ours runs with.
"""

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.report import Row, seconds
from benchmarks.training_side import Side, Spec

PACKAGE = "trl==1.16.0"
RANKS = (2, 4, 8, 16, 32)
#: Losses of two runs that differ in the order of their rows differ by this share, here.
SAME = 0.03
TIMEOUT = 3600


class TrlMissing(Exception):
    """TRL could not be installed; the text says why."""


def runs(base: Path, data: Path, *, steps: int = 12, times: int = 3) -> list[Row]:
    """One run at rank 16 beside TRL tuned and TRL with its defaults: medians of ``times`` turns."""
    with tempfile.TemporaryDirectory(prefix="lorarack-bench-") as made:
        spec = _spec(Path(made), base, data, steps, validation=8)
        found: dict[Side, list[dict[str, float]]] = {"lorarack": [], "trl_tuned": [], "trl_defaults": []}
        for _ in range(times):
            for side, taken in found.items():
                taken.append(_run(side, spec))
    ours = found["lorarack"]
    note = f"{steps} steps of 8 rows at rank {spec.rank}, one validation of 8 rows, loading included; medians of {times} turns"
    return [
        _row("one run ÷ TRL tuned", ours, found["trl_tuned"], 1, 1.6, note),
        _row("one run ÷ TRL with its defaults", ours, found["trl_defaults"], 1, 2.6, note),
    ]


def studies(base: Path, data: Path, *, steps: int = 48, ranks: Sequence[int] = RANKS) -> list[Row]:
    """A study of five ranks by each strategy beside as many runs of TRL, of which one is measured and counted five times."""
    with tempfile.TemporaryDirectory(prefix="lorarack-bench-") as made:
        spec = _spec(Path(made), base, data, steps, validation=32, ranks=tuple(ranks))
        sides: tuple[Side, ...] = ("ladder", "trl_tuned", "ascend", "trl_defaults")
        found = {side: [_run(side, spec)] for side in sides}
    note = (
        f"{steps} steps of 8 rows a whole run, {len(ranks)} ranks up to {max(ranks)}, 32 validation rows; one turn, in which TRL's "
        f"run at rank {spec.rank} is counted {len(ranks)} times"
    )
    wanted: tuple[tuple[Side, Side, float | None], ...] = (
        ("ladder", "trl_defaults", 6.0),
        ("ladder", "trl_tuned", 3.5),
        ("ascend", "trl_defaults", 4.0),
        ("ascend", "trl_tuned", None),
    )
    return [
        _row(f"{side} ÷ {len(ranks)} runs of {peer}", found[side], found[peer], len(ranks), goal, note)
        for side, peer, goal in wanted
    ]


def _row(
    what: str, ours: list[dict[str, float]], peer: list[dict[str, float]], count: int, goal: float | None, note: str
) -> Row:
    mine, theirs = (statistics.median(run["seconds"] for run in side) for side in (ours, peer))
    memory = [max(run["peak_mib"] for run in side) for side in (ours, peer)]
    losses = [statistics.median(run["loss"] for run in side) for side in (ours, peer)]
    ratio = theirs * count / mine
    same = losses[0] <= losses[1] * (1 + SAME)
    each = f"{min(run['seconds'] for run in ours):.0f}–{max(run['seconds'] for run in ours):.0f} s"
    said = f"loss {losses[0]:.4f} and {losses[1]:.4f}; peak memory {memory[0]:,.0f} and {memory[1]:,.0f} MiB; ours {each}; {note}"
    if all("steps" in run for run in (*ours, *peer)):
        alone = [statistics.median(run["steps"] for run in side) for side in (ours, peer)]
        said += f"; of the steps alone the ratio is {alone[1] / alone[0]:.2f}"
    text = f"TRL / ours ≥ {goal:g}, loss no higher than noise" if goal else ""
    return Row(
        what, seconds(mine), seconds(theirs * count), ratio, text, ratio >= goal and same if goal else None, said
    )


def _spec(home: Path, base: Path, data: Path, steps: int, *, validation: int, ranks: tuple[int, ...] = ()) -> Spec:
    """Rows drawn by a seed, no prompt in both files; a line end between prompt and completion parts their tokens for both sides."""
    prompts: dict[str, list[dict[str, str]]] = {}
    for line in data.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        prompts.setdefault(row["prompt"], []).append(
            {"prompt": row["prompt"] + "\n", "completion": row["completion"].strip()}
        )
    drawn = list(prompts.values())
    random.Random(0).shuffle(drawn)
    held_out = [rows[0] for rows in drawn[:validation]]
    train = [row for rows in drawn[validation:] for row in rows][: steps * 8]
    for name, rows in (("train", train), ("validation", held_out)):
        (home / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return Spec(
        base=str(base), train=str(home / "train.jsonl"), validation=str(home / "validation.jsonl"), rank=16, steps=steps,
        eval_every=-(-steps // 5) if ranks else steps, ranks=ranks,
    )  # fmt: skip


def _run(side: Side, spec: Spec) -> dict[str, float]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if side.startswith("trl"):
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (environment.get("PYTHONPATH"), str(trl_folder()))))
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(asdict(spec), file)
        file.flush()
        command = [sys.executable, "-m", "benchmarks.training_side", side, file.name]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    if done.returncode:
        sys.exit(f"{side} failed: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(side, found, file=sys.stderr, flush=True)
    return found


def trl_folder() -> Path:
    """Where TRL lies, without what it depends on, installed on the first call.

    Raises:
        TrlMissing: it cannot be installed.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "lorarack-bench"
    place = cache / PACKAGE.replace("==", "-")
    if not (place / "trl").is_dir():
        uv = Path(sys.executable).parent / "uv"
        command = [str(uv), "pip", "install", "--quiet", "--no-deps", "--target", str(place), PACKAGE]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode:
            raise TrlMissing(" ".join(done.stderr.split())[:200])
    return place
