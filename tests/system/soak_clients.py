"""The clients that ask in the soak. Each sends one greedy question as its users would, and says what it was told."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import anthropic
import httpx
import openai

TOKENS = 4
#: What no client has a name for, and our checks need.
_EXTRA = {"return_token_ids": True, "ignore_eos": True}


@dataclass(frozen=True)
class Told:
    """The version that answered; with tokens and their log probabilities, where the client's route has them."""

    version: str
    tokens: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()


Ask = Callable[[str, Sequence[int]], Told]
#: Opens a client of the server at an address, with a key.
Client = Callable[[str, str], AbstractContextManager[Ask]]


@contextmanager
def by_http(url: str, key: str) -> Iterator[Ask]:
    """httpx: OpenAI's completions."""
    with httpx.Client(base_url=url, headers={"authorization": f"Bearer {key}"}, timeout=120) as client:

        def ask(model: str, prompt: Sequence[int]) -> Told:
            response = client.post("/v1/completions", json=_completion(model, prompt) | _EXTRA)
            assert response.status_code == 200, f"{response.status_code} {response.text}"
            body = response.json()
            assert body["model"] == response.headers["x-lorarack-version"]
            return _told(body)

        yield ask


@contextmanager
def by_openai(url: str, key: str) -> Iterator[Ask]:
    """OpenAI's client: its completions."""
    with openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=120) as client:
        yield lambda model, prompt: _told(
            client.completions.create(**_completion(model, prompt), extra_body=_EXTRA).model_dump()
        )


@contextmanager
def by_anthropic(url: str, key: str) -> Iterator[Ask]:
    """Anthropic's client: messages, which have no log probabilities."""
    with anthropic.Anthropic(base_url=url, api_key=key, max_retries=0, timeout=120) as client:

        def ask(model: str, prompt: Sequence[int]) -> Told:
            text = " ".join(map(str, prompt[:5]))
            made = client.messages.create(model=model, max_tokens=TOKENS, messages=[{"role": "user", "content": text}])
            return Told(made.model)

        yield ask


@contextmanager
def by_litellm(url: str, key: str) -> Iterator[Ask]:
    """LiteLLM, over OpenAI's chat."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or it asks the internet when it is imported
    import litellm

    def ask(model: str, prompt: Sequence[int]) -> Told:
        text = " ".join(map(str, prompt[:5]))
        made: Any = litellm.completion(
            model=f"openai/{model}", api_base=f"{url}/v1", api_key=key, max_tokens=TOKENS, num_retries=0, timeout=120,
            messages=[{"role": "user", "content": text}],
        )  # fmt: skip
        return Told(made.model)

    yield ask


#: One after the other for the askers. LiteLLM takes part where it is installed.
CLIENTS: tuple[Client, ...] = (
    by_http,
    by_openai,
    by_anthropic,
    *([by_litellm] if find_spec("litellm") else []),
)


def _completion(model: str, prompt: Sequence[int]) -> dict[str, Any]:
    return {"model": model, "prompt": list(prompt), "max_tokens": TOKENS, "temperature": 0, "logprobs": 0}


def _told(body: dict[str, Any]) -> Told:
    choice = body["choices"][0]
    return Told(body["model"], tuple(choice["token_ids"]), tuple(choice["logprobs"]["token_logprobs"]))
