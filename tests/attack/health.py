"""How a server is: what its base and an adapter answer, how much memory it has, which processes it is."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import psutil
from tests.system.server import Server
from tests.system.session_server import BASE

PROMPT = "The capital of France is"
#: Other requests in the same batch change the last bits.
TOLERANCE = 0.02
#: What caches and allocators may take more than before.
MORE_BYTES = 400 << 20


@dataclass(frozen=True, slots=True)
class Wellbeing:
    """One look at a running server."""

    #: By model: the log probabilities of the prompt's tokens and of those that follow.
    answers: dict[str, list[float]]
    processes: frozenset[int]
    bytes: int

    @classmethod
    def of(cls, server: Server) -> "Wellbeing":
        """Ask, all at once, and look."""
        models = (BASE, "strong@1", "plain@2")
        with ThreadPoolExecutor(len(models)) as pool:
            answers = dict(zip(models, pool.map(partial(log_probabilities, server), models), strict=True))
        assert server.client.get("/ready").status_code == 200
        parent = psutil.Process(server.process.pid)
        family = [parent, *parent.children(recursive=True)]
        return cls(answers, frozenset(one.pid for one in family), sum(one.memory_info().rss for one in family))

    def must_be(self, before: "Wellbeing") -> None:
        """Fail where anything differs from ``before``."""
        for model, expected in before.answers.items():
            found = self.answers[model]
            assert len(found) == len(expected), model
            differences = [abs(one - other) for one, other in zip(found, expected, strict=True)]
            assert max(differences) < TOLERANCE, f"{model} answers otherwise than before: {found} for {expected}"
        assert self.processes == before.processes, "a process came or went"
        assert self.bytes < before.bytes + MORE_BYTES, f"{(self.bytes - before.bytes) >> 20} MiB more than before"


def log_probabilities(server: Server, model: str) -> list[float]:
    """Of the prompt's tokens and a few more, greedily."""
    answer = server.complete(model, PROMPT, max_tokens=4, logprobs=1, echo=True)
    found = answer["choices"][0]["logprobs"]["token_logprobs"]
    return [value for value in found if value is not None]
