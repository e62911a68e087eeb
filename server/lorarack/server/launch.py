"""Starts vLLM in this process, through its own dispatch, so that every vLLM flag keeps its meaning.

First `preflight.py` checks what can be checked, then `launch_plan.py` makes a plan, and `execute` carries it out.
"""

import os
import signal
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from lorarack.registry import Base, Registry, home_folder
from lorarack.registry.cli.output import note
from lorarack.registry.errors import EngineError, LorarackError
from lorarack.server import preflight
from lorarack.server.api_keys import check_keys
from lorarack.server.cpu.backend import compile_kernel, needs_compile
from lorarack.server.defaults import LOOPBACK, PORT
from lorarack.server.engine_arguments import engine_arguments
from lorarack.server.engine_errors import error_line, first_error
from lorarack.server.engine_speed import EngineSpeed, read_speed, speed_file
from lorarack.server.launch_plan import (
    LaunchPlan,
    ServeOptions,
    ServeRequest,
    ServerPaths,
    plan_launch,
    wanted_versions,
)
from lorarack.server.launch_report import LaunchReport, launch_report
from lorarack.server.local_cache import recently_used
from lorarack.server.machine import Machine, inspect_machine
from lorarack.server.process.gc_pause import gc_paused
from lorarack.server.process.parent_death import reaper
from lorarack.server.process.prespawn import PrespawnedEngine, openmp_environment, use_prespawned
from lorarack.server.process.shutdown_log_filter import ENGINE
from lorarack.server.refused_flags import check_variables


def plan(registry: Registry, base: Base, options: ServeOptions | None = None) -> LaunchPlan:
    """What `serve` would do with the same arguments, on this machine, now. Starts nothing and changes no variable.

    Raises:
        UsageError: variables that vLLM does not know, or that would go past this server's promises.
        Conflict: the base's files are another model by now.
        NotFound: the base's files are gone, or a pin names nothing.
        EngineError: no vLLM here, or one that cannot serve this base.
    """
    with tempfile.TemporaryDirectory(prefix="lorarack-") as scratch:
        return _plan(registry, base, options or ServeOptions(), Path(scratch))[0]


def report(registry: Registry, base: Base, options: ServeOptions | None = None) -> LaunchReport:
    """The plan with the values of vLLM's own parser and the model's configuration. Imports vLLM.

    Raises:
        UsageError: flags or variables that vLLM does not know, or that would go past this server's promises.
        Conflict: the base's files are another model by now.
        NotFound: the base's files are gone, or a pin names nothing.
        EngineError: no vLLM here, one that cannot serve this base, or too little memory.
    """
    with tempfile.TemporaryDirectory(prefix="lorarack-") as scratch:
        made, machine = _plan(registry, base, options or ServeOptions(), Path(scratch))
    arguments = engine_arguments(made, machine, [adapter.name for adapter in registry.adapters()])
    return launch_report(
        made, machine, arguments.args, arguments.size, arguments.cache, _speed(made, machine, arguments.args)
    )


def _speed(plan: LaunchPlan, machine: Machine, args: Any) -> EngineSpeed | None:
    if plan.backend is None or isinstance(machine.cache, EngineError):
        return None
    return read_speed(speed_file(plan.base.fingerprint, machine.vllm.version, plan.backend.choice, args))


def serve(registry: Registry, base: Base, options: ServeOptions | None = None) -> None:
    """Serve ``base`` and its adapters until SIGINT or SIGTERM. Only in a process's main thread, and once.

    Args:
        registry: where the versions are.
        base: what to serve them over.
        options: how; None: as `lorarack serve` does without options.

    Raises:
        UsageError: flags or variables that vLLM does not know, or that would go past this server's promises.
        Conflict: the port is taken, or the base's files are another model by now.
        NotFound: the base's files are gone, or a pin names nothing.
        EngineError: no vLLM here, too little memory, or vLLM stopped with an error: its first cause, in one line.
    """
    with suppress(KeyboardInterrupt), tempfile.TemporaryDirectory(prefix="lorarack-") as scratch, _stopped_by_sigterm():
        preflight.check_platform()
        asked = options or ServeOptions()
        preflight.check_port(asked.host or LOOPBACK, PORT if asked.port is None else asked.port)
        made, machine = _plan(registry, base, asked, Path(scratch))
        execute(made, machine, [adapter.name for adapter in registry.adapters()])


def _plan(registry: Registry, base: Base, options: ServeOptions, scratch: Path) -> tuple[LaunchPlan, Machine]:
    vllm = preflight.check_platform()
    check_keys(None, os.environ)
    checked = preflight.check_base(registry, base.name)
    pinned = (f"--revision={checked.revision}",) if checked.revision else ()
    preflight.check_lora_support(checked.base)
    copied_from = registry.originals(checked.base)[1:]
    originals = tuple(print_ for base in copied_from for print_ in (base.fingerprint, *base.fingerprints))
    snapshot, now = registry.snapshot(), datetime.now(UTC)
    has_keys = any(key.state(now) == "active" for key in registry.keys.list())
    request = ServeRequest(checked.base, (checked.source, *pinned), options, originals, has_keys)
    machine = inspect_machine(vllm)
    check_variables(machine.environ, machine.endpoint_plugins)
    preflight.check_compile_caches(machine.environ)
    paths = ServerPaths(Path(registry.location), home_folder() / "cache" / "adapters", scratch, os.getpid())
    wanted = wanted_versions(snapshot, options.pins, recently_used(paths.adapters))
    return plan_launch(request, paths, machine, snapshot.versions, wanted), machine


def execute(plan: LaunchPlan, machine: Machine, adapters: Sequence[str]) -> None:
    """Carry out ``plan``: the one place that writes the environment of the server's processes.

    Raises:
        UsageError: flags that vLLM does not take, or that are refused here.
        Conflict: the port is taken.
        EngineError: too little memory, or vLLM stopped with an error.
    """
    for line in plan.notes:
        note(line)
    write_environment(plan.environment)
    prespawned = PrespawnedEngine(plan.prespawn, threads=openmp_environment)
    with reaper(plan.settings.errors), closing(prespawned):
        with environment(prespawned.environment):
            prespawned.begin()
        with gc_paused():
            import lorarack.server.vllm.endpoint  # noqa: F401 - vLLM would only log that it cannot be imported
        arguments = engine_arguments(plan, machine, adapters)
        args = arguments.args
        if not args.uds:
            preflight.check_port(args.host, args.port)
        for line in arguments.notes:
            note(line)
        if plan.backend and needs_compile(plan.backend):
            note("Compiling the LoRA kernel for this processor, once; it takes about ten seconds.")
            compiled = compile_kernel(plan.backend)
            if compiled.note:
                note(compiled.note)
            write_environment(plan.with_backend(compiled).environment)
        if plan.prespawn:
            use_prespawned(prespawned)
        _run(args, Path(plan.settings.errors))


def write_environment(variables: Mapping[str, str | None]) -> None:
    """Set these variables; None removes one."""
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """These variables for a process that is started inside the block; afterwards ours are as before."""
    before = {name: os.environ.get(name) for name in variables}
    try:
        write_environment(variables)
        yield
    finally:
        write_environment(before)


def _run(args: Any, errors: Path) -> None:
    from vllm.entrypoints.cli.serve import ServeSubcommand

    try:
        ServeSubcommand.cmd(args)
    except LorarackError:
        raise
    except Exception as error:
        raise EngineError(f"vLLM stopped: {first_error(errors) or error_line(error)}") from error
    except SystemExit as stop:
        if stop.code not in (None, 0):
            raise EngineError(f"vLLM stopped: {first_error(errors) or f'exit code {stop.code}'}") from stop
    if failure := ENGINE.failure():
        raise EngineError(f"vLLM stopped: {first_error(errors) or failure}.", code="engine_died")


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Until vLLM has handlers of its own, SIGTERM ends a start as Ctrl-C does."""

    def stop(_: int, __: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
