"""Everything at once, for minutes: more versions than places, moving aliases, cut streams, a damaged cache, a locked registry."""

import json
import random
import shutil
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
from tests.system.server import KEY, Server
from tests.system.session_server import BASE

#: Seconds after which an alias that was moved must be followed. Promised is one; this machine may be busy.
PATIENCE = 10.0
_ASKERS, _TOKENS = 6, 4


@dataclass(frozen=True)
class Answered:
    """One whole answer, to be judged afterwards."""

    asked: str
    version: str
    prompt: tuple[int, ...]
    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    began: float
    ended: float


@dataclass
class Report:
    """What happened."""

    answers: list[Answered] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    moves: list[tuple[float, str, int]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    #: Resident bytes of the server's processes, each second.
    memory: list[int] = field(default_factory=list)

    def could_be(self, answer: Answered) -> bool:
        """Whether the alias that was asked for named this version between its arrival and its answer."""
        if not answer.asked.endswith("@live"):
            return answer.asked == answer.version
        adapter, number = answer.version.split("@")
        moves = [(at, to) for at, name, to in self.moves if name == adapter and at < answer.ended]
        named = [to for at, to in moves if at > answer.began - PATIENCE]
        earlier = [to for at, to in moves if at <= answer.began - PATIENCE]
        return int(number) in [*named, *earlier[-1:]]


class Soak:
    """One run over a server that has versions 1 and 2 of each of ``adapters``, whose alias ``live`` names version 1."""

    def __init__(self, server: Server, adapters: Sequence[str], prompts: Sequence[Sequence[int]], seed: int) -> None:
        self.report = Report()
        self._server, self._adapters, self._prompts = server, tuple(adapters), [tuple(one) for one in prompts]
        self._seed = seed
        self._done = threading.Event()
        now = time.monotonic()
        self.report.moves.extend((now - 2 * PATIENCE, name, 1) for name in self._adapters)

    def run(self, seconds: float) -> Report:
        """Everything at once for ``seconds``."""
        parts: list[Callable[[random.Random], None]] = [
            *[self._ask] * _ASKERS,
            self._move,
            self._damage,
            self._lock,
            self._watch,
        ]
        with ThreadPoolExecutor(len(parts)) as pool:
            tasks = [pool.submit(part, random.Random(self._seed + number)) for number, part in enumerate(parts)]
            end = time.monotonic() + seconds
            try:
                while time.monotonic() < end and not any(task.done() for task in tasks):
                    time.sleep(0.2)
            finally:
                self._done.set()
            for task in tasks:
                task.result()
        return self.report

    def _ask(self, chance: random.Random) -> None:
        with httpx.Client(base_url=self._server.url, headers={"authorization": f"Bearer {KEY}"}, timeout=120) as client:
            while not self._done.is_set():
                name = chance.choice(
                    [BASE, f"{chance.choice(self._adapters)}@{chance.choice(['1', '2', 'live', 'live'])}"]
                )
                body = {
                    "model": name, "prompt": list(chance.choice(self._prompts)), "max_tokens": _TOKENS, "temperature": 0,
                    "logprobs": 0, "return_token_ids": True, "ignore_eos": True,
                }  # fmt: skip
                if chance.random() < 0.15:
                    self._cut(client, {**body, "max_tokens": 64, "stream": True})
                else:
                    self._whole(client, body)

    def _whole(self, client: httpx.Client, body: Mapping[str, Any]) -> None:
        began = time.monotonic()
        response = client.post("/v1/completions", json=body)
        if response.status_code != 200:
            self.report.failures.append(f"{body['model']}: {response.status_code} {response.text}")
            return
        choice = response.json()["choices"][0]
        said = choice["logprobs"]["token_logprobs"]
        version = response.headers["x-lorarack-version"]
        answer = Answered(
            body["model"], version, tuple(body["prompt"]), tuple(choice["token_ids"]), tuple(said), began, time.monotonic()
        )  # fmt: skip
        self.report.answers.append(answer)

    def _cut(self, client: httpx.Client, body: Mapping[str, Any]) -> None:
        with client.stream("POST", "/v1/completions", json=body) as response:
            if response.status_code != 200:
                self.report.failures.append(f"{body['model']}: {response.status_code} {response.read().decode()}")
                return
            for _ in response.iter_lines():
                break
        self.report.counts["streams cut"] += 1

    def _move(self, chance: random.Random) -> None:
        now = dict.fromkeys(self._adapters, 1)
        while not self._done.wait(chance.uniform(0.3, 1.5)):
            name = chance.choice(self._adapters)
            now[name] = 3 - now[name]
            self.report.moves.append((time.monotonic(), name, now[name]))
            self._server.registry.set_alias(name, "live", now[name])
            self.report.counts["alias moves"] += 1

    def _damage(self, chance: random.Random) -> None:
        cache = self._server.home / "cache" / "adapters"
        while not self._done.wait(chance.uniform(0.3, 1.5)):
            folders = sorted(path for path in cache.glob("*") if path.is_dir() and not path.name.startswith("."))
            if not folders:
                continue
            victim = chance.choice(folders)
            if chance.random() < 0.5:
                shutil.rmtree(victim, ignore_errors=True)
                self.report.counts["copies deleted"] += 1
            else:
                self._overwrite(victim / "adapter_model.safetensors", chance)

    def _overwrite(self, path: Path, chance: random.Random) -> None:
        try:
            with path.open("r+b") as file:
                file.seek(chance.randrange(path.stat().st_size))
                file.write(b"damaged")
            self.report.counts["copies damaged"] += 1
        except OSError:  # replaced meanwhile
            return

    def _lock(self, chance: random.Random) -> None:
        """Another program writes to the catalog and does not come to an end for some seconds."""
        while not self._done.wait(chance.uniform(8, 15)):
            with sqlite3.connect(self._server.home / "catalog.sqlite", timeout=20, isolation_level=None) as database:
                database.execute("BEGIN EXCLUSIVE")
                self._done.wait(3)
                database.execute("ROLLBACK")
            database.close()
            self.report.counts["catalog locked"] += 1

    def _watch(self, _: random.Random) -> None:
        process = psutil.Process(self._server.process.pid)
        while not self._done.wait(1):
            assert self._server.process.poll() is None, f"the server died:\n{self._server.tail()}"
            self.report.memory.append(sum(_resident(one) for one in [process, *process.children(recursive=True)]))


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def said_of(report: Report, wrong: int) -> str:
    """The run in one line of JSON."""
    versions = Counter(answer.version for answer in report.answers)
    return json.dumps({
        "answers": len(report.answers), "versions": len(versions), "wrong": wrong, "failures": len(report.failures),
        **report.counts, "resident_mib": [value >> 20 for value in report.memory[:: max(1, len(report.memory) // 8)]],
    })  # fmt: skip
