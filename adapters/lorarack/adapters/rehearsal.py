"""The proofs of all versions that aliases name, replayed on another server before it takes over: another vLLM, base or machine.

Everything is asked over HTTP, as a client would: the server loads each version, which its own proofs may refuse, and gives the log
probabilities of the tokens that the version was held to when it was trained.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import SerializerFunctionWrapHandler, model_serializer

from lorarack.adapters.progress import EvaluationProgress, Silent
from lorarack.adapters.serving_process import log_file, serving
from lorarack.registry.errors import EngineError, LorarackError, NotAllowed, NotFound, RateLimited, Unavailable
from lorarack.registry.interface import Registry
from lorarack.registry.openai_client import ModelServer
from lorarack.registry.parity import Logprobs, Parity, ParityState, compare_logprobs, probe_tokens
from lorarack.registry.value import Value
from lorarack.registry.values import Base, State, Version

#: Versions that are asked for side by side. The server loads them one at a time.
_AT_ONCE = 4
_NONE: EvaluationProgress = Silent()


class Verdict(StrEnum):
    """What became of one version."""

    SAME = "same"
    DRIFTED = "drifted"
    UNPROVEN = "unproven"  # it loads and changes the base, and has no reference to be held against
    FAILED = "failed"


class RehearsedVersion(Value):
    """One version, and what was found."""

    version: Version
    aliases: tuple[str, ...]
    verdict: Verdict
    effect: float | None = None
    parity: Parity | None = None
    before: Parity | None = None
    reason: str | None = None

    @model_serializer(mode="wrap")
    def _in_json(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        data: dict[str, Any] = whole(self)
        data.pop("version")
        return {**self.version.brief(), **data}


class Rehearsal(Value):
    """All of them, and of which server."""

    url: str | None
    base: str
    vllm: str | None
    dtype: str | None
    passed: bool
    versions: tuple[RehearsedVersion, ...]


@dataclass(frozen=True, slots=True)
class _Server:
    """The server as it says of itself; ``dtype`` and ``vllm`` None: it does not say."""

    server: ModelServer
    base: str
    fingerprint: str
    dtype: str | None
    vllm: str | None


def rehearse(
    registry: Registry,
    target: str,
    *,
    api_key: str | None = None,
    serve_args: Sequence[str] = (),
    progress: EvaluationProgress = _NONE,
) -> Rehearsal:
    """Replay the proofs of every version that an alias names on ``target``.

    Args:
        registry: whose aliases count.
        target: the URL of a running lorarack server over this registry or a copy of it, or a base, of which one is started here.
        api_key: the server's key; with the scope admin it says its number type.
        serve_args: flags for the server that is started.
        progress: hears of the start, and of each version that is done.

    Raises:
        NotFound: no such base, or no alias names a version of it.
        NotAllowed: the key is missing or wrong.
        Unavailable: no lorarack server there.
        EngineError: the server could not be started.
    """
    if "://" in target:
        return _rehearse(registry, ModelServer(target, api_key), target, progress)
    base = registry.base(target)
    _aliased(registry, base)  # before a server is started in vain
    log = log_file()
    progress.starting(base.name, log)
    with serving(base.name, Path(registry.location), log, serve_args, waiting=progress.waiting) as started:
        return _rehearse(registry, ModelServer(started.url), None, progress)


def _rehearse(registry: Registry, server: ModelServer, url: str | None, progress: EvaluationProgress) -> Rehearsal:
    there = _look(server)
    base = next((one for one in registry.bases() if there.fingerprint in (one.fingerprint, *one.fingerprints)), None)
    if base is None:
        raise NotFound(
            f"The server at {server.address} serves {there.base!r} ({there.fingerprint[:19]}…), which this registry does not know; "
            "add that base first.",
            code="unknown_base",
        )
    aliased = _aliased(registry, base)
    tokens = probe_tokens(base.vocab_size)
    of_base: dict[tuple[int, ...], list[float]] = {}
    with server.client() as client:
        asked = partial(_logprobs, server, client)
        with server.errors():
            prompts = {tokens, *(prompt for version, _ in aliased for prompt in _prompts(version))}
            for prompt in sorted(prompts):
                of_base[prompt] = asked(there.base, there.fingerprint, prompt)
        done: list[RehearsedVersion] = []
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            judge = partial(_judge, registry, there, asked, of_base, tokens)
            for found in pool.map(lambda pair: judge(*pair), aliased):
                done.append(found)
                progress.answered(len(done), len(aliased))
    passed = all(one.verdict is not Verdict.FAILED for one in done)
    return Rehearsal(url=url, base=base.name, vllm=there.vllm, dtype=there.dtype, passed=passed, versions=tuple(done))


def _aliased(registry: Registry, base: Base) -> list[tuple[Version, tuple[str, ...]]]:
    """The ready versions of the base and of those that it is a copy of, which an alias names, with their aliases."""
    names: dict[tuple[str, int], list[str]] = defaultdict(list)
    for alias in registry.aliases():
        names[alias.adapter, alias.version].append(alias.name)
    fits = {one.name for one in registry.originals(base)}
    versions = ((registry.get_version(f"{adapter}@{number}"), tuple(said)) for (adapter, number), said in names.items())
    found = [(version, said) for version, said in versions if version.base in fits and version.state is State.READY]
    if not found:
        raise NotFound(
            f"No alias names a ready version of base {base.name!r}; there is nothing to rehearse.", code="nothing"
        )
    return found


def _judge(
    registry: Registry,
    there: _Server,
    asked: Callable[[str, str, tuple[int, ...]], list[float]],
    of_base: dict[tuple[int, ...], list[float]],
    tokens: tuple[int, ...],
    version: Version,
    aliases: tuple[str, ...],
) -> RehearsedVersion:
    record = registry.serving_record(version)
    found = partial(RehearsedVersion, version=version, aliases=aliases, before=record.parity if record else None)
    reference = version.provenance.reference if version.provenance else None
    try:
        with there.server.errors():
            probed = asked(version.reference, version.digest, tokens)
            mine = [asked(version.reference, version.digest, prompt) for prompt in _prompts(version)]
    except (NotAllowed, Unavailable, RateLimited) as error:
        if error.code not in ("engine", "store"):
            raise  # the server is gone or closed: that says nothing of a version
        return found(verdict=Verdict.FAILED, reason=error.message)
    except LorarackError as error:
        return found(verdict=Verdict.FAILED, reason=error.message)
    effect = max(abs(one - other) for one, other in zip(probed, of_base[tokens], strict=True))
    base: Logprobs = [of_base[prompt] for prompt in _prompts(version)]
    strict = version.base_fingerprint == there.fingerprint
    parity = compare_logprobs(reference, mine, base, there.dtype, strict=strict) if reference else None
    if effect == 0.0:
        return found(
            verdict=Verdict.FAILED, effect=effect, parity=parity, reason=f"{version.reference} changes nothing there."
        )
    if parity is None:
        return found(verdict=Verdict.UNPROVEN, effect=effect)
    if parity.state is ParityState.OTHER:
        return found(
            verdict=Verdict.FAILED, effect=effect, parity=parity, reason=f"{version.reference} {parity.words}."
        )
    return found(verdict=Verdict(parity.state.value), effect=effect, parity=parity)


def _prompts(version: Version) -> list[tuple[int, ...]]:
    reference = version.provenance.reference if version.provenance else None
    return [prompt.token_ids for prompt in reference.prompts] if reference else []


def _logprobs(server: ModelServer, client: Any, model: str, digest: str, tokens: tuple[int, ...]) -> list[float]:
    """Of each token but the first. ``EngineError``: another artifact answered."""
    response = client.completions.with_raw_response.create(
        model=model, prompt=list(tokens), max_tokens=1, temperature=0.0, extra_body={"prompt_logprobs": 0}
    )
    if (answered := response.headers.get("x-lorarack-digest")) != digest:
        raise EngineError(
            f"What {server.address} has as {model} is another artifact ({(answered or 'none')[:19]}…); it serves another registry."
        )
    try:
        table = response.parse().choices[0].prompt_logprobs[1:]
        return [found[str(token)]["logprob"] for token, found in zip(tokens[1:], table, strict=True)]
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise Unavailable(
            f"The server at {server.address} does not return the log probabilities of a prompt."
        ) from error


def _look(server: ModelServer) -> _Server:
    import httpx2

    with server.client() as client, server.errors():

        def get(path: str) -> Any:
            return json.loads(client.get(f"{server.address}{path}", cast_to=httpx2.Response).text)

        try:
            models = get("/v1/models")["data"]
            version = get("/version").get("version")
            card = next(one for one in models if one.get("parent") is None)
            base, fingerprint = str(card["lorarack"]["version"]), str(card["lorarack"]["digest"])
            try:
                dtype = get("/v1/residency").get("dtype")
            except Exception as error:
                if getattr(error, "status_code", None) != 403:
                    raise
                dtype = None
        except (KeyError, TypeError, ValueError, StopIteration) as error:
            raise Unavailable(f"What listens at {server.address} is no lorarack server.") from error
    return _Server(server, base, fingerprint, dtype, version)
