"""A comparison on a real server: times, a real model as judge, and the same numbers as lm-evaluation-harness."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.system.server import KEY, Server
from tests.system.session_server import BASE

from lorarack.adapters import EvaluationServer, JudgeServer, Row, Rows, compare, evaluate, load_rows

pytestmark = pytest.mark.system

PROMPTS = (
    "The capital of France is", "The capital of Italy is", "Two plus two is", "The opposite of hot is", "Water freezes at",
    "The first month of the year is", "A week has", "The colour of the sky is", "Dogs say", "The sun rises in the",
)  # fmt: skip
TOKENS = 8


def asked(server: Server) -> EvaluationServer:
    return EvaluationServer(server.url, KEY, max_tokens=TOKENS)


def test_versions_and_base_are_timed_in_one_mixed_batch(server: Server) -> None:
    rows = Rows("prompts", tuple(Row("Paris", prompt=prompt) for prompt in PROMPTS))
    found = compare(
        server.registry, ["plain@1", "plain@2"], rows, server=asked(server), include_base=True, memory=2**30
    )
    assert found.base is not None
    for speed in (*(version.speed for version in found.verdict.versions), found.base.speed):
        assert speed is not None
        assert speed.itl is not None
        assert 0 < speed.ttft.median <= speed.ttft.p95
        assert 0 < speed.itl.median <= speed.itl.p95
    small, large = found.verdict.of("plain@1"), found.verdict.of("plain@2")
    assert small.slot is not None
    assert large.slot == 2 * small.slot, "rank 4 is in a slot of rank 8, rank 16 in one of 16"
    assert (small.fits, large.fits) == (2**30 // small.slot, 2**30 // large.slot)


def test_a_real_model_judges(server: Server) -> None:
    """A bad judge, as small models are: what matters is that both orders arrive, and that its contradictions are counted."""
    rows = Rows("prompts", tuple(Row(" Paris.", prompt=prompt) for prompt in PROMPTS[:4]))
    judge = JudgeServer(server.url, KEY, max_tokens=4)
    found = compare(
        server.registry, ["plain@1", "plain@2"], rows, score=f"judge:{BASE}", judge=judge, server=asked(server)
    )
    for version in found.verdict.versions:
        assert version.judge is not None
        assert (version.judge.model, 0 < version.judge.judged <= 4) == (BASE, True)
        assert version.judge.contradicted + version.judge.unreadable <= version.judge.judged
        assert 0 <= version.score <= 1


def test_lm_evaluation_harness_finds_the_same(server: Server, tmp_path: Path) -> None:
    """On the same rows, through the server, for a reference that is an alias: row by row the same scores."""
    rows = []
    for number, prompt in enumerate(PROMPTS):
        said = server.complete("plain@prod", prompt, max_tokens=TOKENS)["choices"][0]["text"].strip()
        rows.append({"prompt": prompt, "completion": said if number % 3 else "something else"})
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    ours = evaluate(server.registry, ["plain@prod"], load_rows(data), score="exact_match", server=asked(server)).of(
        "plain@2"
    )
    assert 0 < ours.mean < 1, "a score of which something can be told"
    task = {
        "task": "held_out", "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(data)}},
        "test_split": "test", "output_type": "generate_until", "doc_to_text": "{{prompt}}", "doc_to_target": "{{completion}}",
        "generation_kwargs": {"until": [], "max_gen_toks": TOKENS, "do_sample": False, "temperature": 0},
        "filter_list": [{"name": "strip", "filter": [{"function": "remove_whitespace"}, {"function": "take_first"}]}],
        "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
    }  # fmt: skip
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "held_out.yaml").write_text(json.dumps(task))  # YAML holds JSON
    model = {
        "model": "plain@prod", "base_url": f"{server.url}/v1/completions", "num_concurrent": 4,
        "tokenizer_backend": "None", "tokenized_requests": "False",
    }  # fmt: skip
    done = subprocess.run(
        [
            sys.executable, "-m", "lm_eval", "--model", "local-completions",
            "--model_args", ",".join(f"{key}={value}" for key, value in model.items()),
            "--tasks", "held_out", "--include_path", tmp_path / "tasks", "--output_path", tmp_path / "out", "--log_samples",
        ],
        env={**os.environ, "OPENAI_API_KEY": KEY, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")},
        capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    (results,) = (tmp_path / "out").rglob("results_*.json")
    theirs = json.loads(results.read_text())["results"]["held_out"]["exact_match,strip"]
    assert theirs == pytest.approx(ours.mean)
    (samples,) = (tmp_path / "out").rglob("samples_*.jsonl")
    each = {one["doc_id"]: one["exact_match"] for one in map(json.loads, samples.read_text().splitlines())}
    assert [each[place] for place in range(len(rows))] == list(ours.scores)
