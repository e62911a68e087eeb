"""The pieces of the demo's story. The whole of it is run as ``make demo``."""

import ast
import json
import os
import shlex
import subprocess
import sys
from io import StringIO

import pytest
from rich.console import Console, Group

from lorarack.adapters.data import Message, Row, Rows
from lorarack.adapters.evaluation.answers import Answer, Answers, Evaluation, Subject
from lorarack.demo.console import StepConsole
from lorarack.demo.memory import PeakMemory, resident_bytes
from lorarack.demo.next_steps import SERVE_FLAGS, next_steps, times
from lorarack.demo.side_by_side import handful, side_by_side
from lorarack.registry.values import Dataset

DIGEST = "sha256:" + "d" * 64
SUBJECTS = (Subject(model="orders@1", digest=DIGEST), Subject(model="smol", stride=2))


def evaluation(*texts: str) -> Evaluation:
    def one(text: str) -> Answer:
        return Answer(text=text, score=float(text == "right"), tokens=3, cut_off=text.endswith("on"))

    results = tuple(Answers(subject=subject, answers=tuple(map(one, texts))) for subject in SUBJECTS)
    data = Dataset(split="test", name="rows", rows=len(texts), digest=DIGEST)
    return Evaluation(score="exact_match", binary=True, dataset=data, max_tokens=9, results=results)


def printed(what: object) -> str:
    out = StringIO()
    Console(file=out, width=140).print(what)
    return out.getvalue()


def test_steps_are_numbered_timed_and_told_once() -> None:
    out = StringIO()
    stage = StepConsole(Console(file=out, width=80), 2)
    with stage.step("First [odd]"):
        stage.say("a line with [brackets]")
    with pytest.raises(ValueError), stage.step("Second"):
        raise ValueError
    text = out.getvalue()
    assert "[1/2] First [odd]" in text
    assert "      a line with [brackets]" in text
    assert "[2/2] Second" in text
    assert list(stage.seconds) == ["First [odd]"], "a step that failed has no time"
    assert 0 <= stage.seconds["First [odd]"] <= stage.total


@pytest.mark.parametrize(("length", "count"), [(96, 4), (5, 4), (2, 4), (1, 1)])
def test_a_handful_is_spread_over_the_rows(length: int, count: int) -> None:
    rows = Rows("rows", tuple(Row(str(n), prompt=str(n)) for n in range(length)))
    few = handful(rows, count)
    assert len(few) == min(length, count)
    assert few.rows[0] == rows.rows[0]
    assert len({row.prompt for row in few}) == len(few)


def test_answers_stand_side_by_side_marked_right_or_wrong() -> None:
    chat = Row("right", messages=(Message("system", "s"), Message("user", "two [big] teas")))
    text = printed(side_by_side(evaluation("right", "on and\n\non"), Rows("rows", (chat, chat)), ["orders@r4", "smol"]))
    lines = text.splitlines()
    assert sum("two [big] teas" in line for line in lines) == 2
    assert [line.split()[:3] for line in lines if "orders@r4" in line] == [
        ["✓", "orders@r4", "right"],
        ["✗", "orders@r4", "on"],
    ]
    assert text.count("on and on…") == 2, "on one line, and visibly cut off"


def test_memory_counts_the_children_too() -> None:
    """A child that holds 200 MB is seen while it lives, and its end makes no trouble."""
    program = "data = b'x' * 200_000_000; print('holding', flush=True); input()"
    with (
        PeakMemory() as memory,
        subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child,
    ):
        assert child.stdout is not None
        child.stdout.readline()
        alone, together = resident_bytes(child.pid), resident_bytes(os.getpid())
        assert alone > 200_000_000
        assert together >= alone
        while memory.bytes < alone:
            memory._over.wait(0.05)
        child.communicate(b"\n")
    assert resident_bytes(child.pid) == 0
    assert memory.bytes > 200_000_000


def test_the_next_steps_can_be_copied_as_they_stand() -> None:
    """Whatever quotes the question has, the shell passes on what was meant: to curl a JSON body, to Python a program."""
    question = 'it\'s two "big" teas, 5 $'
    steps = dict(next_steps("orders", "smol", "As JSON.", question))
    body = json.loads(shlex.split(steps["with curl"])[-1])
    assert body["model"] == "orders@r4"
    assert [message["content"] for message in body["messages"]] == ["As JSON.", question]
    program = ast.parse(shlex.split(steps["with Python"])[-1])
    assert question in {node.value for node in ast.walk(program) if isinstance(node, ast.Constant)}
    assert shlex.split(steps["ask it"])[-4:] == ["orders", question, "--system", "As JSON."]
    assert shlex.split(steps["serve again"])[-len(SERVE_FLAGS) :] == list(SERVE_FLAGS)
    assert steps["publish"].endswith("push orders YOUR-NAME/orders")


def test_commands_stay_on_one_line_and_tables_are_never_cut() -> None:
    out = StringIO()
    stage = StepConsole(Console(file=out, width=60, soft_wrap=True), 1)
    stage.copyable([("do", "x" * 100)])
    stage.show(Group(" ".join(["word"] * 30)))
    assert "x" * 100 in out.getvalue()
    assert out.getvalue().count("word") == 30


def test_the_times_add_a_sum_and_the_memory() -> None:
    text = printed(times({"one": 1.25, "two": 2.0}, 3.5, 3 * 2**30))
    assert [line.split() for line in text.splitlines() if "in all" in line] == [["in", "all", "3.5"]]
    assert "3.0 GiB" in text
