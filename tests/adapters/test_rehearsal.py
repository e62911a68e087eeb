"""A rehearsal's verdicts, on a small real HTTP server that gives log probabilities as vLLM does."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.command_line import lorarack
from tests.json_schemas import hold
from tests.tiny import tiny_adapter, tiny_base

from lorarack.adapters.rehearsal import rehearse
from lorarack.registry import Registry, open_registry
from lorarack.registry.errors import NotAllowed, NotFound, Unavailable
from lorarack.registry.reference_logprobs import ReferenceLogprobs, ReferencePrompt
from lorarack.registry.values import Provenance

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

REFERENCE = ReferenceLogprobs(dtype="float32", prompts=(ReferencePrompt(token_ids=(1, 2, 3), logprobs=(-1.5, -1.5)),))

#: What is said of one model: a log probability, or a status with the sentence.
Answer = float | tuple[int, str]


@contextmanager
def served(registry: Registry, say: Callable[[str], Answer], dtype: str | None = "float32") -> Iterator[str]:
    """A server of base ``tiny`` (-1 everywhere) and its versions; ``dtype`` None: the key is not for the table."""
    base = registry.base("tiny")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            about = {"version": base.name, "digest": base.fingerprint}
            found = {
                "/v1/models": (200, {"data": [{"id": "tiny", "parent": None, "lorarack": about}]}),
                "/version": (200, {"version": "0.33.0"}),
                "/v1/residency": (200, {"dtype": dtype})
                if dtype
                else (403, {"error": {"message": "no", "code": "not_allowed"}}),
            }
            self._send(*found[self.path])

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            model, prompt = asked["model"], asked["prompt"]
            said = -1.0 if model == "tiny" else say(model)
            if isinstance(said, tuple):
                self._send(said[0], {"error": {"message": said[1], "code": "engine" if said[0] == 503 else "x"}})
                return
            digest = base.fingerprint if model == "tiny" else registry.resolve(model).digest
            table = [None, *({str(token): {"logprob": said}} for token in prompt[1:])]
            body = {"id": "c", "object": "text_completion", "created": 1, "model": model,
                    "choices": [{"index": 0, "text": "x", "finish_reason": "length", "prompt_logprobs": table}]}  # fmt: skip
            self._send(200, body, digest)

        def _send(self, status: int, body: Any, digest: str = "") -> None:
            raw = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(raw)))
            self.send_header("x-lorarack-digest", digest)
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    """Two trained versions, one of which an alias names, and one that lorarack has not trained."""
    with open_registry(tmp_path / "home") as opened:
        opened.add_base(str(tiny_base(tmp_path / "base")), "tiny")
        opened.add_base(str(tiny_base(tmp_path / "other", seed=7)), "other")
        for seed, kept in ((1, Provenance(reference=REFERENCE)), (2, Provenance(reference=REFERENCE))):
            opened.publish(tiny_adapter(tmp_path / f"{seed}", seed=seed), "trained", base="tiny", provenance=kept)
        opened.publish(tiny_adapter(tmp_path / "3", seed=3), "bare", base="tiny")
        yield opened


def verdicts(registry: Registry, say: Callable[[str], Answer], dtype: str | None = "float32") -> dict[str, str]:
    with served(registry, say, dtype) as url:
        found = rehearse(registry, url)
    assert found.vllm == "0.33.0"
    assert found.passed == all(one.verdict != "failed" for one in found.versions)
    return {one.version.reference: one.verdict.value for one in found.versions}


@pytest.mark.parametrize(
    ("said", "dtype", "verdict"),
    [
        (-1.501, "float32", "same"),
        (-1.58, "bfloat16", "same"),
        (-1.58, "float32", "drifted"),
        (-3.0, "float32", "failed"),
        (-3.0, None, "drifted"),  # a number type that is not known may round by anything
        (-1.0, "float32", "failed"),  # the base itself
        ((422, "trained@1 changes nothing."), "float32", "failed"),
        ((503, "vLLM could not load trained@1."), "float32", "failed"),
        ((404, "There is nothing named 'trained@1'."), "float32", "failed"),
    ],
)  # fmt: skip
def test_each_version_that_an_alias_names_gets_its_verdict(
    registry: Registry, said: Answer, dtype: str | None, verdict: str
) -> None:
    found = verdicts(registry, lambda model: said if model == "trained@1" else -2.0, dtype)
    assert found == {"trained@1": verdict, "bare@1": "unproven"}, "no alias names trained@2"


def test_a_server_of_another_registry_is_no_proof(registry: Registry, tmp_path: Path) -> None:
    """It has another artifact under the name."""
    with open_registry(tmp_path / "elsewhere") as other:
        other.add_base(str(tmp_path / "base"), "tiny")
        other.publish(tiny_adapter(tmp_path / "x", seed=9), "trained", base="tiny")
        other.publish(tiny_adapter(tmp_path / "y", seed=3), "bare", base="tiny")
        with served(other, lambda _: -1.5) as url:
            found = {one.version.reference: one for one in rehearse(registry, url).versions}
    assert found["trained@1"].verdict == "failed"
    assert "another artifact" in (found["trained@1"].reason or "")
    assert found["bare@1"].verdict == "unproven"


def test_what_is_no_server_or_closed_or_of_another_base_is_said(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        rehearse(registry, "http://127.0.0.1:9")
    with served(registry, lambda _: (401, "a key")) as url, pytest.raises(NotAllowed):
        rehearse(registry, url)
    with open_registry(tmp_path / "elsewhere") as other:
        other.add_base(str(tiny_base(tmp_path / "third", seed=11)), "tiny")
        with served(other, lambda _: -1.5) as url, pytest.raises(NotFound, match="does not know"):
            rehearse(registry, url)
    with pytest.raises(NotFound, match="nothing to rehearse"):
        rehearse(registry, "other")


def test_the_command_says_it_in_a_table_and_in_json(registry: Registry) -> None:
    with served(
        registry, lambda model: -1.5 if model.startswith("trained") else (422, "bare@1 changes nothing.")
    ) as url:
        answer = lorarack("rehearse", url, "--registry", registry.location, "--json")
        shown = lorarack("rehearse", url, "--registry", registry.location)
        wrong = lorarack("rehearse", url, "--serve-args", "--x", "--registry", registry.location)
    assert (answer.code, shown.code, wrong.code) == (3, 3, 2)
    found = json.loads(answer.out)
    hold("rehearse", found)
    assert [row["verdict"] for row in found["versions"]] == ["failed", "same"]
    assert all(part in shown.out for part in ("trained@1", "same", "failed", "vLLM 0.33.0, float32"))
