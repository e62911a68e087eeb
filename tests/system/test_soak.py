"""Minutes of everything at once: no wrong answer, no error, no dead engine, no growing memory. ``make soak`` takes half an hour."""

import os
from pathlib import Path
from statistics import median

import pytest
from tests.system.reference import Reference, make_adapter
from tests.system.server import Server
from tests.system.session_adapters import TEXTS
from tests.system.session_server import BASE
from tests.system.soak import Answered, Soak, said_of
from tests.system.soak_clients import CLIENTS

pytestmark = [pytest.mark.system, pytest.mark.torch]

MINUTES = float(os.environ.get("LORARACK_SOAK_MINUTES", "0.75"))
ADAPTERS, RANKS = 10, (2, 4, 8, 12, 16)
#: Of a log probability: float32, in batches of changing size.
TOLERANCE = 5e-3
COUNTED = ("alias moves", "copies deleted", "copies damaged", "streams cut", "keys revoked")
#: By which the second half's memory may be above the first half's end.
GROWTH = 0.05


@pytest.fixture(scope="module")
def folders(small_base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Twenty versions of ten adapters, ranks mixed."""
    place = tmp_path_factory.mktemp("soak")
    return {
        f"soak{number}@{version}": make_adapter(
            small_base, place / f"{number}-{version}", RANKS[(number + version) % len(RANKS)], 300 + 2 * number + version, 0.12
        )
        for number in range(ADAPTERS)
        for version in (1, 2)
    }  # fmt: skip


@pytest.mark.timeout(60 * MINUTES + 900)
def test_a_soak(server: Server, reference: Reference, folders: dict[str, Path]) -> None:
    for name, folder in folders.items():
        assert server.registry.publish(folder, name.partition("@")[0], base=BASE).version.reference == name
    for number in range(ADAPTERS):
        server.registry.set_alias(f"soak{number}", "live", 1)
    reference.add(folders)
    prompts = [reference.tokenizer(text)["input_ids"] for text in TEXTS]
    report = Soak(server, [f"soak{number}" for number in range(ADAPTERS)], prompts, seed=1).run(60 * MINUTES)
    reference.compute((name_of(answer), [*answer.prompt, *answer.tokens]) for answer in report.answers if answer.tokens)
    wrong = [answer for answer in report.answers if not (report.could_be(answer) and is_right(reference, answer))]
    print(said_of(report, len(wrong)))
    assert not wrong, wrong[0]
    assert not report.failures, report.failures[:3]
    assert {answer.client for answer in report.answers} == {client.__name__ for client in CLIENTS}
    assert len({answer.version for answer in report.answers}) > ADAPTERS, "too slow a machine to say anything"
    assert all(report.counts[what] for what in COUNTED)
    half = len(report.memory) // 2
    assert median(report.memory[-half // 2 :]) <= (1 + GROWTH) * median(report.memory[half // 2 : half])


def name_of(answer: Answered) -> str | None:
    """The adapter of the reference that answered."""
    return None if answer.version == BASE else answer.version


def is_right(truth: Reference, answer: Answered) -> bool:
    """Whether the log probabilities are those of PEFT with the version that the answer names; true where a route gives none."""
    if not answer.tokens:
        return True
    expected = truth.truth(name_of(answer), [*answer.prompt, *answer.tokens]).logprobs[len(answer.prompt) - 1 :]
    return max(abs(mine - right) for mine, right in zip(answer.logprobs, expected, strict=True)) <= TOLERANCE
