"""Starts the engine's process before vLLM asks for it, so that both processes import vLLM at the same time.

vLLM spawns its engine after its own import, and the engine then imports everything again: on a CPU a third of a start. It cannot be
forked, since threads and an event loop are running by then. So `lorarack serve` first starts a process that imports what an
engine needs and waits; when vLLM starts its engine, that process gets the work.

Some libraries read the environment once, when a process starts (OpenMP, the allocator) or when they are imported. So the process
starts with the variables of the last start's engine, and is used only if an engine would get the same ones now. Otherwise the
engine is spawned as usual, and its variables are remembered for the next start.
"""

import atexit
import importlib
import logging
import multiprocessing
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.reduction import ForkingPickler
from multiprocessing.resource_tracker import ensure_running
from multiprocessing.spawn import get_executable
from pathlib import Path
from typing import Any

from lorarack.server.process.gc_pause import gc_paused
from lorarack.server.process.launch_env_cache import changes, recall, remember
from lorarack.server.process.parent_death import die_with_parent
from lorarack.server.settings import VARIABLE

#: What an engine on a CPU has imported by the time it answers. One that fails is left to the engine itself to report.
MODULES = ("vllm.v1.engine.core", "vllm.v1.worker.cpu_worker")
#: What torch computes once and caches: what the processor can do, and the digests of two compilers, which are part of
#: the names of compiled files.
FACTS = (
    ("torch._inductor.cpu_vec_isa", "pick_vec_isa"),
    ("torch._inductor.codecache", "torch_key"),
    ("torch._inductor.codecache", "triton_key"),
)
_PATIENCE_SECONDS = 300
_logger = logging.getLogger("vllm.lorarack")  # as vLLM logs, whose process this is


#: Variables around the engine's start, made from the arguments that vLLM starts it with.
Threads = Callable[[Mapping[str, Any]], AbstractContextManager[None]]


class PrespawnedEngine:
    """The waiting process, if there is one. ``close`` it when the server ends.

    Args:
        memory: file that keeps the variables from one start to the next; None: nothing is remembered, none is begun.
        modules: what the process imports.
        threads: sets the variables that an engine's process reads as it begins, for as long as it is started.
    """

    def __init__(
        self, memory: Path | None, modules: Sequence[str] = MODULES, threads: Threads = lambda _: nullcontext()
    ) -> None:
        self._memory = memory
        self._modules = modules
        self._threads = threads
        self._before = dict(os.environ)
        self._changed = recall(memory, self._before) if memory else None
        self._python = get_executable()
        self._context = multiprocessing.get_context("spawn")
        self._waiting: tuple[SpawnProcess, Connection[Any, Any]] | None = None

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables with which the process must begin."""
        return self._changed or {}

    def begin(self) -> None:
        """Start the process, if a start is remembered; `environment` must hold. If that fails, the engine is spawned as usual."""
        if self._changed is None:
            return
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=wait_for_work, args=(theirs, self._modules, os.getpid()))
        try:
            with theirs, _uninterrupted():
                process.start()
        except (OSError, ValueError) as error:
            ours.close()
            _logger.info("The engine's process cannot be prespawned: %s", error)
            return
        self._waiting = process, ours

    def threads(self, arguments: Mapping[str, Any]) -> AbstractContextManager[None]:
        """Variables for the engine's process, for as long as it is started."""
        return self._threads(arguments)

    def context(self) -> SpawnContext:
        """For vLLM: makes the waiting process if it fits, and spawned ones otherwise."""
        return _Context(self)

    def assign_work(self, name: str, target: Callable[..., object], kwargs: Mapping[str, Any]) -> SpawnProcess | None:
        """The waiting process, now at work; None if it differs from what would be spawned, and then it is ended.

        Remembers the environment that an engine needs, for the next start.
        """
        changed = changes(self._before, os.environ)
        if get_executable() != self._python:
            changed = None  # vLLM binds its engine to a part of the machine, by another program that starts it
        if changed is None:
            self.forget()
            return None
        if changed != self._changed and self._memory:
            remember(self._memory, changed, self._before)
        same_settings = os.environ.get(VARIABLE) == self._before.get(VARIABLE)
        if self._waiting is None or changed != self._changed or not same_settings or not self._waiting[0].is_alive():
            self.close()
            return None
        try:
            work = ForkingPickler.dumps((name, target, dict(kwargs)))
        except RuntimeError:  # something in it can only be inherited
            self.close()
            return None
        process, line = self._waiting
        try:
            # vLLM has raised its limit on open files by now, and a spawned process would inherit that.
            resource.prlimit(process.pid or 0, resource.RLIMIT_NOFILE, resource.getrlimit(resource.RLIMIT_NOFILE))
            line.send_bytes(work)
        except OSError:  # it has just ended
            self.close()
            return None
        self._waiting = None
        line.close()
        _logger.info("The engine runs in the prespawned process.")
        return process

    def forget(self) -> None:
        """Remember nothing, and end the waiting process: none started early fits here."""
        self.close()
        if self._memory:
            with suppress(OSError):
                self._memory.unlink(missing_ok=True)

    def close(self) -> None:
        """End the process, unless it has been given its work."""
        if self._waiting is None:
            return
        (process, line), self._waiting = self._waiting, None
        line.close()
        process.kill()
        process.join()
        process.close()


class _Context(SpawnContext):
    """What `multiprocessing.get_context` gives, but for the first process."""

    def __init__(self, prespawned: PrespawnedEngine) -> None:
        super().__init__()
        self._prespawned = prespawned

    def Process(self, *, name: str, target: Callable[..., object], kwargs: Mapping[str, Any]) -> Any:  # type: ignore[override]  # noqa: N802
        return _EngineProcess(self._prespawned, name, target, kwargs)


class _EngineProcess:
    """A process; which one is decided when it starts."""

    def __init__(
        self, prespawned: PrespawnedEngine, name: str, target: Callable[..., object], kwargs: Mapping[str, Any]
    ) -> None:
        self._prespawned = prespawned
        self._given = name, target, kwargs
        self._process = SpawnProcess(name=name, target=run_bound, args=(os.getpid(), target), kwargs=kwargs)

    def start(self) -> None:
        """Give the waiting process its work, or spawn one."""
        with self._prespawned.threads(self._given[2]):
            process = self._prespawned.assign_work(*self._given)
            if process is None:
                self._process.start()
                return
        process.name = self._process.name
        self._process = process

    def __getattr__(self, name: str) -> Any:
        return getattr(self._process, name)


def use_prespawned(prespawned: PrespawnedEngine) -> None:
    """Have vLLM start its engine through ``prespawned``. This imports vLLM."""
    from vllm.v1.engine import utils

    original = utils.get_mp_context

    def get_mp_context() -> Any:
        found = original()
        return prespawned.context() if found.get_start_method() == "spawn" else found

    utils.get_mp_context = get_mp_context


def openmp_environment(arguments: Mapping[str, Any]) -> AbstractContextManager[None]:
    """What vLLM would set for a worker's process; OpenMP reads it as a process begins, and here the engine's computes."""
    from vllm.utils.ompmultiprocessing import OMPProcessManager

    config = arguments["vllm_config"]
    if config.parallel_config.distributed_executor_backend != "uni":
        return nullcontext()
    return OMPProcessManager(config).configure_omp_envs(0, 0)


def run_bound(parent: int, target: Callable[..., object], **kwargs: Any) -> None:
    """What a spawned engine's process runs: the work, ended with its parent."""
    die_with_parent(parent)
    _work(target, kwargs)


def wait_for_work(line: "Connection[Any, Any]", modules: Sequence[str], parent: int) -> None:
    """What the process runs: imports, then the work it gets; nothing, if the server ends before that."""
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C reaches this process too: end without a word
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    with gc_paused():
        _import(modules)
    try:
        if not line.poll(_PATIENCE_SECONDS):
            return  # this server needs no engine here
        work = line.recv_bytes()
    except EOFError:
        return
    line.close()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Pickled by the process that began this one, as multiprocessing itself does.
    name, target, kwargs = ForkingPickler.loads(work)
    multiprocessing.current_process().name = name
    _work(target, kwargs)


def _work(target: Callable[..., object], kwargs: Mapping[str, Any]) -> None:
    """Do the work; then leave, as a forked process of multiprocessing does.

    An engine that ends in order has freed what it holds. An interpreter's own end would look for cycles in all that was imported,
    which takes longer than everything else of a stop.
    """
    try:
        target(**kwargs)
    except SystemExit as stop:
        if stop.code not in (None, 0):
            raise
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _import(modules: Sequence[str]) -> None:
    for name in modules:
        with suppress(Exception):
            importlib.import_module(name)
    for name, fact in FACTS:
        if name in sys.modules:
            with suppress(Exception):
                getattr(sys.modules[name], fact)()


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """A process that starts inside the block gets Ctrl-C only once it is ready."""
    ensure_running()  # multiprocessing's tracker, which is begun with the first process and must hear of it at once
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
