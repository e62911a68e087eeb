"""The family of a study scored by a server: all versions in one mixed batch, on held-out rows, by ``compare``'s rule."""

from collections.abc import Sequence

from lorarack.adapters.comparison.compare import conclude
from lorarack.adapters.comparison.plan import plan_comparison
from lorarack.adapters.comparison.verdict import Comparison
from lorarack.adapters.data.rows import Rows
from lorarack.adapters.evaluation.run import check_texts
from lorarack.adapters.evaluation.scores import find_score
from lorarack.adapters.evaluation.server import EvaluationServer
from lorarack.adapters.operations import ask_plan, server_when_needed
from lorarack.adapters.progress import EvaluationProgress
from lorarack.adapters.studies.records import StudyFolder
from lorarack.registry.errors import UsageError
from lorarack.registry.interface import Registry
from lorarack.registry.openai_client import ModelServer
from lorarack.registry.values import Version


def check_scores(scores: Sequence[str], rows: Rows | None, server: EvaluationServer) -> None:
    """Refuse before training what could not be scored after it.

    Raises:
        UsageError: no such score, no held-out rows, or rows without answers that are texts.
        NotFound: the schema of a score is not there.
        NotAllowed: the running server's key is missing or wrong.
        Unavailable: the running server does not answer.
    """
    for score in scores:
        if score.partition(":")[0] == "judge":
            raise UsageError(
                f"A study has no judge for the score {score!r}; leave it out, and score the versions with 'lorarack compare'.",
                code="unknown_score",
            )
        find_score(score)
    if scores and rows is None:
        raise UsageError(
            "--score needs held-out rows: name them with --test, or as 'test' under data in the recipe.",
            code="no_test_rows",
        )
    if scores and rows is not None:
        if rows.rows[0].kind == "text":
            raise UsageError(
                f"{rows.name} holds plain texts, which have no answers to score; part them into 'prompt' and 'completion'.",
                code="bad_data",
            )
        check_texts(rows)
        if server.url is not None:
            asked = ModelServer(server.url, server.api_key)
            with asked.client() as client, asked.errors():
                client.models.list()


def score_family(
    registry: Registry,
    versions: Sequence[Version],
    rows: Rows,
    scores: Sequence[str],
    folder: StudyFolder,
    server: EvaluationServer,
    progress: EvaluationProgress,
) -> tuple[Comparison, ...]:
    """A comparison for each score, the base beside them; answers are kept in the study's folder and not asked for again.

    Raises:
        GateRefused: a version was trained on some of the rows.
        Conflict: a server of another registry.
        NotServeable: the server cannot serve a version.
        NotAllowed: the server's key is missing or wrong.
        RateLimited: the server wanted fewer requests in every try.
        Unavailable: no server there, or a request failed in every try.
        EngineError: the server could not be started.
        StoreError: the folder cannot be written.
    """
    references = [version.reference for version in versions]
    found = []
    with server_when_needed(registry, versions, server, progress) as running:
        for score in scores:
            plan = plan_comparison(registry, references, rows, score=score, include_base=True)
            kind = "likelihoods" if plan.score.likelihood else "answers"
            save = folder.place / f"{kind}-{rows.digest.removeprefix('sha256:')[:12]}-{server.max_tokens}"
            evaluation = ask_plan(registry, plan, server, running, save, progress)
            found.append(conclude(registry, plan, evaluation))
    return tuple(found)
