"""No value of any parameter of any command ends in a traceback, hangs, or gets another exit code than the four that we have.

Commands and their parameters are found by walking the application, so that new ones join by themselves.
"""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest
from tests.hostile import TEXTS, Command, Playground, commands, make_playground, run

pytestmark = pytest.mark.thorough

#: They take no value that could stop them before they train and serve (tests/adapters/demo has the demo).
TOO_LONG = {"demo run", "demo base"}
COMMANDS = [command for command in commands() if command.name not in TOO_LONG]
PATIENCE_SECONDS = 20

#: Parameters that no command takes for a path; all others, new ones too, are given files that are none.
NO_PATHS = {
    *(
        "rank",
        "alpha",
        "learning_rate",
        "batch_size",
        "epochs",
        "max_steps",
        "seed",
        "target_module",
        "concurrency",
        "port",
    ),
    *(
        "metric",
        "tag",
        "parent",
        "description",
        "reason",
        "state",
        "since",
        "until",
        "sort",
        "limit",
        "cursor",
        "score",
    ),
    *("prompt", "system", "max_tokens", "temperature", "url", "host", "after", "keep_last", "keep_days", "min_gain"),
}


@pytest.fixture(scope="module")
def playground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Playground]:
    """One for all commands: what little some of them do is no help to the others."""
    root = tmp_path_factory.mktemp("p")
    before = Path.cwd()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORARACK_REGISTRY", str(root / "home"))
        patch.setenv("LORARACK_HOME", str(root / "home"))
        patch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
        patch.delenv("LORARACK_URL", raising=False)
        os.chdir(root)
        yield make_playground(root)
        os.chdir(before)


@pytest.fixture(autouse=True)
def impatience() -> Iterator[None]:
    """What waits for something that never comes fails here, and not after ten minutes."""

    def stop(_: int, __: FrameType | None) -> None:
        raise TimeoutError("a command waits for ever")

    before = signal.signal(signal.SIGALRM, stop)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def problem(line: list[str]) -> str | None:
    """What is wrong with how ``lorarack LINE`` ends."""
    signal.alarm(PATIENCE_SECONDS)
    try:
        answer = run(line)
    except Exception as error:  # noqa: BLE001  (every one of them would be a traceback)
        return f"{type(error).__name__}: {error}"
    if answer.code not in (0, 1, 2, 3):
        return f"exit code {answer.code}"
    if "Traceback" in answer.err:
        return answer.err
    if answer.code and not (answer.err.startswith("error: ") or (answer.code == 2 and "Usage: " in answer.err)):
        return f"no sentence: {answer.err}"
    listed = "\n  - " in answer.err or "Usage: " in answer.err
    return f"more than a sentence: {answer.err}" if answer.code and answer.err.count("\n") > 1 and not listed else None


def marks(command: Command) -> tuple[pytest.MarkDecorator, ...]:
    """``plan`` imports vLLM to read its flags."""
    ignored = pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
    return (pytest.mark.torch, ignored) if command.name == "plan" else ()


@pytest.mark.parametrize("command", [pytest.param(each, id=each.name, marks=marks(each)) for each in COMMANDS])
def test_every_value_of_every_parameter_ends_in_one_sentence(command: Command, playground: Playground) -> None:
    """Texts that are no text, numbers without end, days before and after all time; files, pipes, loops where others are wanted."""
    values = {**TEXTS, **playground.paths()}
    found = {}
    for parameter in command.parameters:
        for name, value in (TEXTS if parameter.name in NO_PATHS else values).items():
            if said := problem(command.line(playground, parameter, value)):
                found[f"{parameter.name}: {name}"] = said
    assert found == {}


@pytest.mark.parametrize("variable", ["LORARACK_HOME", "LORARACK_REGISTRY"])
def test_and_of_the_variables_that_name_folders(
    variable: str, playground: Playground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable cannot hold a NUL; all else can come."""
    monkeypatch.delenv("LORARACK_REGISTRY")
    for name, value in {**TEXTS, **playground.paths()}.items():
        if "\0" in value or any("\ud800" <= letter < "\udc80" for letter in value):
            continue
        monkeypatch.setenv(variable, value)
        assert problem(["list"]) is None, name


def test_there_is_something_to_try() -> None:
    assert len(COMMANDS) > 30
    assert sum(len(command.parameters) for command in COMMANDS) > 100
