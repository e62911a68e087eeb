"""Evaluating and comparing versions, from references and rows to a result kept in the registry."""

import hashlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

from lorarack.adapters.comparison.compare import conclude, keep_scores
from lorarack.adapters.comparison.margin_rule import checked_margin
from lorarack.adapters.comparison.plan import ComparisonPlan, plan_comparison
from lorarack.adapters.comparison.verdict import Comparison
from lorarack.adapters.data.rows import Rows
from lorarack.adapters.evaluation.answers import Evaluation
from lorarack.adapters.evaluation.judge import JudgeServer
from lorarack.adapters.evaluation.run import ask_and_score
from lorarack.adapters.evaluation.saved import EvaluationManifest, Sampling, SavedEvaluation
from lorarack.adapters.evaluation.server import EvaluationServer
from lorarack.adapters.progress import EvaluationProgress, Silent
from lorarack.adapters.serving_process import log_file, serving
from lorarack.registry import Registry, Version
from lorarack.registry.errors import Conflict
from lorarack.registry.evaluations import evaluations_folder

_LOCAL = EvaluationServer()
_SILENT = Silent()


def evaluate(
    registry: Registry,
    references: Sequence[str],
    rows: Rows,
    *,
    score: str | None = None,
    judge: JudgeServer | None = None,
    server: EvaluationServer = _LOCAL,
    include_base: bool = False,
    allow_seen: bool = False,
    save: Path | None = None,
    progress: EvaluationProgress = _SILENT,
) -> Evaluation:
    """Ask one or more versions the rows, score the answers, and keep each mean score as a metric of its version.

    Args:
        registry: where the versions are.
        references: the versions; all of one base.
        rows: held-out rows, of ``load_rows``.
        score: a score's name; without it the one that fits the rows.
        judge: the server of the judge, for the score ``judge:MODEL``.
        server: a running server, or how to start one; by default one is started and stopped.
        include_base: ask the bare base too.
        allow_seen: score rows that the versions were trained on; kept apart as split ``seen``.
        save: a folder for answers and scores; answers that are already there are not asked for again.
        progress: told what happens.

    Raises:
        NotFound: no such version, or the server knows no such model.
        BadReference: a reference is malformed.
        UsageError: no such score, rows that cannot be scored, or a request that the server refused.
        Conflict: versions of different bases, a server of another registry, or a folder of another evaluation.
        GateRefused: a version was trained on some of the rows.
        NotServeable: the server cannot serve a version.
        NotAllowed: the server's key is missing or wrong.
        RateLimited: the server wanted fewer requests in every try.
        Unavailable: no server there, or a request failed in every try.
        EngineError: the server could not be started.
        StoreError: the folder cannot be written.
    """
    plan = plan_comparison(
        registry,
        references,
        rows,
        score=score,
        judge=judge,
        include_base=include_base,
        allow_seen=allow_seen,
        at_least=1,
    )
    with server_when_needed(registry, plan.versions, server, progress) as running:
        evaluation = ask_plan(registry, plan, server, running, save, progress)
    keep_scores(registry, plan, evaluation)
    return evaluation


def compare(
    registry: Registry,
    references: Sequence[str],
    rows: Rows,
    *,
    margin: float | None = None,
    score: str | None = None,
    judge: JudgeServer | None = None,
    server: EvaluationServer = _LOCAL,
    include_base: bool = False,
    base_stride: int = 1,
    allow_seen: bool = False,
    groups: tuple[object, ...] | None = None,
    save: Path | None = None,
    memory: int | None = None,
    progress: EvaluationProgress = _SILENT,
) -> Comparison:
    """Evaluate two versions or more, and recommend the cheapest that is not worse than the best by the margin.

    Args:
        registry: where the versions are.
        references: two or more versions of one base.
        rows: held-out rows, of ``load_rows``.
        margin: how much worse a version may be and still count as not worse; fixed before looking. Default: five points, or
            one per cent of a loss.
        score: a score's name; without it the one that fits the rows.
        judge: the server of the judge, for the score ``judge:MODEL``.
        server: a running server, or how to start one; by default one is started and stopped.
        include_base: ask the bare base too.
        base_stride: ask the base only each so-many-th row.
        allow_seen: score rows that the versions were trained on; kept apart as split ``seen``.
        groups: for each row the group that it belongs to, of ``row_groups``.
        save: a folder for answers and scores; answers that are already there are not asked for again.
        memory: bytes in which the engine's slots of the versions are to fit; the result says how many do.
        progress: told what happens.

    Raises:
        NotFound: no such version, or the server knows no such model.
        BadReference: a reference is malformed.
        UsageError: a bad margin, fewer than two versions, no such score, rows that cannot be scored, or a refused request.
        Conflict: versions of different bases, a server of another registry, or a folder of another evaluation.
        GateRefused: a version was trained on some of the rows.
        NotServeable: the server cannot serve a version.
        NotAllowed: the server's key is missing or wrong.
        RateLimited: the server wanted fewer requests in every try.
        Unavailable: no server there, or a request failed in every try.
        EngineError: the server could not be started.
        StoreError: the folder cannot be written.
    """
    plan = plan_comparison(
        registry, references, rows, score=score, judge=judge, include_base=include_base, base_stride=base_stride,
        allow_seen=allow_seen, groups=groups,
    )  # fmt: skip
    margin = checked_margin(margin, losses=not plan.score.higher_is_better)
    with server_when_needed(registry, plan.versions, server, progress) as running:
        evaluation = ask_plan(registry, plan, server, running, save, progress)
    return conclude(registry, plan, evaluation, margin=margin, memory=memory)


def ask_plan(
    registry: Registry,
    plan: ComparisonPlan,
    server: EvaluationServer,
    running: Callable[[], EvaluationServer],
    save: Path | None,
    progress: EvaluationProgress,
) -> Evaluation:
    """Ask what a comparison plans, and score the answers.

    Args:
        registry: where the versions are.
        plan: who is asked which rows.
        server: which server, and how.
        running: gives it with its URL; called where an answer is missing, of ``server_when_needed``.
        save: a folder for answers and scores.
        progress: told what happens.

    Raises:
        LorarackError: as ``compare``, once the plan is made.
    """
    manifest = EvaluationManifest(
        dataset=plan.rows.digest,
        dataset_name=plan.rows.name,
        rows=len(plan.rows),
        base=plan.base.fingerprint,
        sampling=Sampling(max_tokens=server.max_tokens),
        score=plan.score.name,
        judge=plan.score.judge.identity if plan.score.judge else None,
        versions={version.reference: version.digest for version in plan.versions},
    )
    with SavedEvaluation(save, manifest) if save else _unfinished(registry, manifest, server) as saved:
        missing = plan.requests - (saved.count(plan.subjects, plan.rows, plan.score) if saved else 0)
        client = (running() if missing else server).client()
        evaluation = ask_and_score(
            plan.subjects, plan.rows, plan.score, client, lambda done: progress.answered(done, plan.requests), saved,
            progress.judged,
        )  # fmt: skip
        if save and saved:
            saved.finish(evaluation, plan.rows, plan.groups)
    return evaluation


@contextmanager
def _unfinished(
    registry: Registry, manifest: EvaluationManifest, server: EvaluationServer
) -> Iterator[SavedEvaluation | None]:
    """Keeps the answers of an evaluation until it is finished, so that the same one continues where it was stopped.

    One that asks another server, or starts it with other flags, is another one. None where another process does the same.
    """
    same = (manifest.dataset, manifest.base, manifest.sampling.model_dump_json(), server.url, *server.serve_args)
    name = hashlib.sha256(repr(same).encode("utf-8", "backslashreplace")).hexdigest()
    folder = evaluations_folder(registry.location) / "unfinished" / name
    with ExitStack() as opened:
        try:
            saved = opened.enter_context(SavedEvaluation(folder, manifest))
        except Conflict:
            yield None
            return
        yield saved
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def server_when_needed(
    registry: Registry, versions: Sequence[Version], server: EvaluationServer, progress: EvaluationProgress
) -> Iterator[Callable[[], EvaluationServer]]:
    """Inside, a function that gives the server with its URL: the running one that ``server`` names, or one for ``versions``.

    The latter is started by the first call and stopped at the end. All versions are of one base.

    Raises:
        EngineError: by the call, where the server could not be started.
    """
    with ExitStack() as opened:

        @cache
        def running() -> EvaluationServer:
            if server.url is not None:
                return server
            log = log_file()
            base = versions[0].base
            progress.starting(base, log)
            largest = max(versions, key=lambda version: version.rank)  # the server's slots must hold it
            flags = ["--pin", largest.reference, *server.serve_args]
            started = opened.enter_context(serving(base, Path(registry.location), log, flags, waiting=progress.waiting))
            return replace(server, url=started.url, serve_args=())

        yield running
