"""Everything at once for minutes: few places, moving aliases, cut streams, revoked keys, a damaged cache, a locked registry."""

import json
import random
import shutil
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx
import psutil
from tests.system.server import KEY, Server
from tests.system.session_server import BASE
from tests.system.soak_clients import CLIENTS, Client

#: Seconds after which an alias that was moved must be followed. Promised is one; this machine may be busy.
PATIENCE = 10.0
_ASKERS = 6


@dataclass(frozen=True)
class Answered:
    """One whole answer, to be judged afterwards. Without tokens where the client's route does not give them."""

    client: str
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
            *(partial(self._ask, CLIENTS[number % len(CLIENTS)]) for number in range(_ASKERS)),
            self._cut,
            self._move,
            self._damage,
            self._lock,
            self._revoke,
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

    def _ask(self, client: Client, chance: random.Random) -> None:
        with client(self._server.url, KEY) as ask:
            while not self._done.is_set():
                name, prompt, began = self._name(chance), chance.choice(self._prompts), time.monotonic()
                try:
                    told = ask(name, prompt)
                except Exception as error:  # noqa: BLE001 - each client has its own
                    self.report.failures.append(f"{name} by {client.__name__}: {error}")
                    continue
                ended = time.monotonic()
                said = (told.version, prompt, told.tokens, told.logprobs)
                self.report.answers.append(Answered(client.__name__, name, *said, began, ended))

    def _cut(self, chance: random.Random) -> None:
        """A client that begins long streams and hangs up."""
        with httpx.Client(base_url=self._server.url, headers={"authorization": f"Bearer {KEY}"}, timeout=120) as client:
            while not self._done.wait(chance.uniform(0, 1)):
                name, prompt = self._name(chance), list(chance.choice(self._prompts))
                body = {"model": name, "prompt": prompt, "max_tokens": 64, "ignore_eos": True, "stream": True}
                with client.stream("POST", "/v1/completions", json=body) as response:
                    if response.status_code != 200:
                        self.report.failures.append(f"{name}: {response.status_code} {response.read().decode()}")
                        continue
                    next(response.iter_lines(), None)
                self.report.counts["streams cut"] += 1

    def _name(self, chance: random.Random) -> str:
        return chance.choice([BASE, f"{chance.choice(self._adapters)}@{chance.choice(['1', '2', 'live', 'live'])}"])

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

    def _revoke(self, chance: random.Random) -> None:
        """A key for one adapter opens that one and no other; once revoked, nothing."""
        keys = self._server.registry.keys
        while not self._done.wait(chance.uniform(1, 3)):
            mine, other = chance.sample(self._adapters, 2)
            name = f"soak-{self.report.counts['keys revoked']}"
            secret = keys.add(name, adapters=[mine]).secret
            with httpx.Client(
                base_url=self._server.url, headers={"authorization": f"Bearer {secret}"}, timeout=120
            ) as client:
                self._until(200, client, f"{mine}@live")
                if (found := self._status(client, f"{other}@live")) != 403:
                    self.report.failures.append(f"{other}@live with a key for {mine}: {found}")
                keys.revoke(name)
                self._until(401, client, f"{mine}@live")
            self.report.counts["keys revoked"] += 1

    def _until(self, status: int, client: httpx.Client, name: str) -> None:
        end = time.monotonic() + PATIENCE
        while (found := self._status(client, name)) != status:
            if time.monotonic() > end:
                self.report.failures.append(f"{name} with a key: {found} in place of {status}")
                return
            time.sleep(0.1)

    def _status(self, client: httpx.Client, name: str) -> int:
        return client.post("/v1/completions", json={"model": name, "prompt": [1], "max_tokens": 1}).status_code

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
    clients = Counter(answer.client for answer in report.answers)
    return json.dumps({
        "answers": len(report.answers), "by": clients, "versions": len(versions), "wrong": wrong, "failures": len(report.failures),
        **report.counts, "resident_mib": [value >> 20 for value in report.memory[:: max(1, len(report.memory) // 8)]],
    })  # fmt: skip
