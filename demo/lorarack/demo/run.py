"""The whole story: base, training, registry, one engine, answers side by side, a verdict, files for the Hub."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from lorarack.adapters.comparison.verdict import Comparison
from lorarack.adapters.data.load import load_rows
from lorarack.adapters.evaluation.answers import Subject
from lorarack.adapters.evaluation.run import ask_and_score
from lorarack.adapters.evaluation.scores import fitting_score
from lorarack.adapters.evaluation.server import EvaluationServer
from lorarack.adapters.operations import compare
from lorarack.adapters.progress import ConsoleEvaluation, waiting
from lorarack.adapters.recipe import load_recipe
from lorarack.adapters.serving_process import serving, stopped_by_sigterm
from lorarack.adapters.studies.table import as_table
from lorarack.demo.choose_default import choose_default
from lorarack.demo.console import StepConsole
from lorarack.demo.memory import PeakMemory
from lorarack.demo.next_steps import SERVE_FLAGS, left_behind, next_steps, push_command, times
from lorarack.demo.orders import TASK, heldout_path, recipe_path
from lorarack.demo.places import places
from lorarack.demo.side_by_side import handful, side_by_side
from lorarack.demo.worker_process import worker_process
from lorarack.registry.cli.render import short_digest, size
from lorarack.registry.disk import remove_tree
from lorarack.registry.hub.push import write_folder
from lorarack.registry.interface import Registry
from lorarack.registry.registry import open_registry
from lorarack.registry.values import Base, Version

STEPS = 8

#: The longest right answer has about 70 tokens.
_MAX_TOKENS = 96
_CONCURRENCY = 96
#: The base talks until it is cut off, and is wrong: a few rows of its show that.
_BASE_STRIDE = 4


def run_demo(console: StepConsole) -> dict[str, Any]:
    """Run the demo in the home folder's registry; what exists from an earlier run is used again.

    Returns:
        What came out, as plain data.

    Raises:
        LorarackError: a step failed. The server is stopped, and what earlier steps made stays.
    """
    with stopped_by_sigterm(), PeakMemory() as memory, open_registry(places().home) as registry:
        base, versions = _make(console, registry)
        comparison = _serve_and_compare(console, registry, base, versions)
        kept = registry.resolve(versions[0].adapter)  # what its alias 'default' names, decided or not
        _write_for_the_hub(console, registry, kept)
        with console.step("The end: the server is stopped, everything is kept"):
            console.show(left_behind(places()))
    console.show(times(console.seconds, console.total, memory.bytes))
    console.copyable(next_steps(kept.adapter, base.name, TASK.system, _example()))
    return {
        "comparison": comparison.to_json(),
        "kept": kept.reference,
        "seconds": console.seconds | {"in all": console.total},
        "peak_memory_bytes": memory.bytes,
        "home": str(places().home),
    }


def _make(console: StepConsole, registry: Registry) -> tuple[Base, tuple[Version, ...]]:
    """Steps 1 to 3."""
    recipe = load_recipe(recipe_path())
    with worker_process(Path(registry.location)) as made:
        with console.step("A small real base model"):
            base = made.base()
            console.say(f"{base.name}: {base.parameters:,} parameters, {short_digest(base.fingerprint)}")
        ranks = " or ".join(str(rank) for rank in recipe.ranks)
        with console.step(f"A study, rank {ranks}: {TASK.title[0].lower()}{TASK.title[1:]}"):
            report = made.study(recipe)
            console.show(as_table(report))
    versions = tuple(sorted(report.versions, key=lambda version: version.rank))
    with console.step("Both are versions in the registry"):
        for version in versions:
            console.say(_described(version))
    return base, versions


def _serve_and_compare(
    console: StepConsole, registry: Registry, base: Base, versions: tuple[Version, ...]
) -> Comparison:
    """Steps 4 to 6, and the server's end."""
    rows = load_rows(heldout_path())
    names = [f"{version.adapter}@r{version.rank}" for version in versions]
    with ExitStack() as server:
        with console.step("One vLLM engine for the base and every version"):
            log = places().server_log
            console.say(f"lorarack serve {base.name}; its log: {log}")
            with waiting("      starting") as tick:
                running = server.enter_context(
                    serving(base.name, Path(registry.location), log, SERVE_FLAGS, waiting=tick)
                )
            console.say(f"ready at {running.url}: {', '.join(names)} and {base.name}")
        asked = EvaluationServer(running.url, concurrency=_CONCURRENCY, max_tokens=_MAX_TOKENS)
        with console.step("The same held-out prompts, one mixed batch"):
            few = handful(rows)
            subjects = [
                Subject(model=version.reference, asked_as=name, digest=version.digest)
                for version, name in zip(versions, names, strict=True)
            ]
            score = fitting_score(row.completion for row in rows)
            answers = ask_and_score([*subjects, Subject(model=base.name)], few, score, asked.client())
            console.show(side_by_side(answers, few, [*names, base.name]))
        with console.step(f"Which rank to keep: {len(rows)} held-out rows"), ConsoleEvaluation("      ") as progress:
            comparison = compare(
                registry,
                [version.reference for version in versions],
                rows,
                server=asked,
                include_base=True,
                base_stride=_BASE_STRIDE,
                save=places().evaluation,
                progress=progress,
            )
            choose_default(console, registry, comparison)
    return comparison


def _write_for_the_hub(console: StepConsole, registry: Registry, kept: Version) -> None:
    """Step 7."""
    with console.step("The kept version as it would go to the Hub"):
        folder = places().hub
        remove_tree(folder)
        write_folder(registry, kept.reference, folder, _example(), license_id=TASK.licence.lower())
        for file in sorted(folder.iterdir()):
            console.say(f"{file.name} ({size(file.stat().st_size)})")
        console.say(f"in {folder}; this would push it: {push_command(kept.adapter)}")


def _example() -> str:
    return load_rows(heldout_path()).rows[0].messages[-1].text


def _described(version: Version) -> str:
    datasets = version.provenance.datasets if version.provenance else ()
    data = ", ".join(f"{found.split} {found.rows}" for found in datasets)
    return (
        f"{version.reference}: rank {version.rank}, {_losses(version)}, {version.parameters:,} parameters, "
        f"{size(version.bytes)}, {short_digest(version.digest)}; rows: {data}"
    )


def _losses(version: Version) -> str:
    train, held = version.metric("loss", "train"), version.metric("loss", "validation")
    parts = [f"{name} {found.value:.4f}" for name, found in (("train loss", train), ("eval loss", held)) if found]
    return ", ".join(parts) or "no losses recorded"
