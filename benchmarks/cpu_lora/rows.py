"""The comparisons of ``make bench-cpu-lora``, a group for each set of servers that runs at the same time."""

import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cpu_lora import arms
from benchmarks.cpu_lora.comparison import Side, compare
from benchmarks.cpu_lora.load import Traffic, tokens_per_second
from benchmarks.report import Row

DECODE = Traffic("32 in / 64 out", 32, 64)
DECODE_ONCE = Traffic("32 in / 64 out", 32, 64, requests=8)
PREFILL = Traffic("512 in / 16 out", 512, 16, requests=8)
PREFILL_SHORT = Traffic("128 in / 2 out", 128, 2, requests=8)


@dataclass(frozen=True)
class Place:
    """What all groups work with: a base, its adapters by rank, and a registry that has them all."""

    base: Path
    adapters: Mapping[int, tuple[Path, ...]]
    home: Path
    logs: Path

    def references(self, rank: int) -> tuple[str, ...]:
        """As the registry names them."""
        return tuple(f"{name}@1" for name in self.names(rank))

    def names(self, rank: int) -> tuple[str, ...]:
        """As plain vLLM is told to name them."""
        return tuple(folder.name for folder in self.adapters[rank])

    def folders(self, rank: int) -> dict[str, Path]:
        """Plain vLLM's modules."""
        return dict(zip(self.names(rank), self.adapters[rank], strict=True))


def same_flags(place: Place, rounds: int) -> list[Row]:
    """Ours, plain vLLM and vLLM without LoRA, with identical flags."""
    flags = (*arms.SAME, *arms.lora_flags(16, 8))
    our = arms.ours("ours", place.logs, place.home, *flags)
    plain = arms.plain("plain", place.logs, place.base, place.folders(16), *flags)
    off = arms.plain("LoRA off", place.logs, place.base, {}, *arms.SAME)
    base = (arms.BASE,)
    eight, theirs = place.references(16), place.names(16)
    rows = []
    with arms.together(our, plain, off):
        _show(our, plain, off)
        pair = compare(DECODE_ONCE, {"ours": Side(our, eight), "plain": Side(plain, theirs)}, rounds)
        rows.append(_row(f"{DECODE.name}, 8 adapters of rank 16: ours / plain", pair, 3.7))
        rows.append(_peft(place, pair["ours"], rounds))
        pair = compare(DECODE, {"ours": Side(our, eight), "LoRA off": Side(off, base)}, rounds + 2)
        rows.append(_row(f"{DECODE.name}, 8 adapters of rank 16: ours / LoRA off", pair, 0.85))
        pair = compare(DECODE, {"ours": Side(our, eight[:1]), "LoRA off": Side(off, base)}, rounds + 2)
        rows.append(_row(f"{DECODE.name}, one adapter of rank 16: ours / LoRA off", pair, 0.93))
        pair = compare(PREFILL, {"ours": Side(our, eight), "plain": Side(plain, theirs)}, rounds)
        rows.append(_row(f"{PREFILL.name}, 8 adapters of rank 16: ours / plain", pair, 8.6))
        pair = compare(PREFILL, {"ours": Side(our, eight), "LoRA off": Side(off, base)}, rounds + 2)
        rows.append(_row(f"{PREFILL.name}, 8 adapters of rank 16: ours / LoRA off", pair, 0.93))
        pair = compare(DECODE, {"ours": Side(our, base), "LoRA off": Side(off, base)}, rounds + 2)
        rows.append(_row(f"{DECODE.name}, base only: ours with LoRA on / LoRA off", pair, 0.98))
    return rows


def true_ranks(place: Place, rounds: int) -> list[Row]:
    """Traffic of rank 8 where slots are made for rank 64."""
    mixed_flags, small_flags = (*arms.SAME, *arms.lora_flags(64, 9)), (*arms.SAME, *arms.lora_flags(8, 9))
    mixed = arms.ours("ours, rank 64 too", place.logs, place.home, *mixed_flags)
    small = arms.ours("ours, rank 8 only", place.logs, place.home, *small_flags)
    plain = arms.plain("plain, slots of 64", place.logs, place.base, place.folders(8), *mixed_flags)
    eight, theirs = place.references(8), place.names(8)
    with arms.together(mixed, small, plain):
        _show(mixed, small, plain)
        tokens_per_second(mixed.url, Traffic("load", 8, 1, 1, 1, place.references(64)), 0)
        pair = compare(PREFILL_SHORT, {"ours": Side(mixed, eight), "plain": Side(plain, theirs)}, rounds)
        heavy = _row(f"{PREFILL_SHORT.name}, rank 8 in slots of 64: ours / plain", pair, 20)
        pair = compare(DECODE, {"with rank 64": Side(mixed, eight), "rank 8 only": Side(small, eight)}, rounds + 2)
    return [heavy, _row(f"{DECODE.name}, rank 8 beside a loaded rank 64 / rank 8 only, both ours", pair, 0.95)]


def out_of_the_box(place: Place, rounds: int) -> list[Row]:
    """Each server's own defaults, but for the size of the KV cache."""
    our = arms.ours("ours by default", place.logs, place.home, *arms.CACHE)
    plain = arms.plain("plain by default", place.logs, place.base, place.folders(16), *arms.CACHE, all_cores=False)
    sides = {"ours": Side(our, place.references(16)), "plain": Side(plain, place.names(16))}
    rows = []
    with arms.together(our, plain):
        _show(our, plain)
        for traffic, goal in ((DECODE_ONCE, 8.0), (PREFILL, 15.0)):
            what = f"{traffic.name}, 8 adapters of rank 16, everybody's defaults: ours / plain"
            rows.append(_row(what, compare(traffic, sides, rounds), goal))
    return rows


def starting(place: Place, rounds: int) -> list[Row]:
    """From the command to the first answer, where both have been started before."""
    flags = (*arms.SAME, *arms.lora_flags(16, 8))
    taken: dict[str, list[float]] = {"ours": [], "LoRA off": []}
    for number in range(rounds):
        order = list(taken) if number % 2 == 0 else list(taken)[::-1]
        for name in order:
            if name == "ours":
                arm, models = arms.ours("ours, again", place.logs, place.home, *flags), place.references(16)[:1]
            else:
                arm, models = arms.plain("LoRA off, again", place.logs, place.base, {}, *arms.SAME), (arms.BASE,)
            begin = time.perf_counter()
            with arm:
                tokens_per_second(arm.url, Traffic("first", 8, 1, 1, 1, models), 0)
                taken[name].append(time.perf_counter() - begin)
    for name, values in taken.items():
        print(f"  start: {name} " + " ".join(f"{value:.1f}" for value in values), file=sys.stderr, flush=True)
    ours, off = (statistics.median(taken[name]) for name in ("ours", "LoRA off"))
    what = "start to first answer, second start: ours / plain vLLM with LoRA off"
    return [Row(what, f"{ours:.1f} s", f"{off:.1f} s", ours / off, "≤ 0.3", ours / off <= 0.3)]


def _peft(place: Place, ours: float, rounds: int) -> Row:
    """What a reader gets from PEFT's own mixed batches, next to what ours just gave."""
    command = [sys.executable, "-m", "benchmarks.cpu_lora.peft_side", str(place.base), "32", "64", str(rounds)]
    done = subprocess.run(
        [*command, *map(str, place.adapters[16])],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    what = f"{DECODE.name}, 8 adapters of rank 16: ours / PEFT generate with adapter_names"
    return _row(what, {"ours": ours, "PEFT": float(done.stdout)}, None)


def _row(what: str, pair: Mapping[str, float], goal: float | None) -> Row:
    (ours, peer) = pair.values()
    ratio = ours / peer
    words = "" if goal is None else f"≥ {goal:g}"
    met = None if goal is None else ratio >= goal
    return Row(what, f"{ours:.1f} tokens/s", f"{peer:.1f} tokens/s", ratio, words, met)


def _show(*running: arms.Arm) -> None:
    for arm in running:
        print(f"  {arm.settings()}", file=sys.stderr, flush=True)
