"""Starts vLLM in this process, through its own dispatch, so that every vLLM flag keeps its meaning."""

import gc
import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, NoReturn

from lorarack.registry import Base, Registry, home_folder
from lorarack.registry.cli.output import note
from lorarack.registry.errors import EngineError, LorarackError, UsageError
from lorarack.server import preflight
from lorarack.server.cpu_choice import prepare
from lorarack.server.defaults import LOOPBACK, PORT, Default, engine_defaults, process_defaults
from lorarack.server.faults import first_fault, sentence
from lorarack.server.kv_cache import GIB, check_memory, default_cache, gib
from lorarack.server.memory import Memory, read_memory
from lorarack.server.settings import CpuLora, ServingSettings
from lorarack.server.vllm_plugin.early_engine import begin_early, use_early_engine

_OUR_PLUGINS = ("lorarack", "lorarack_http")
_OUR_GROUP = "vllm.endpoint_plugins"
_SHARE = "gpu_memory_utilization"
_LEGACY_CACHE = "VLLM_CPU_KVCACHE_SPACE"  # GiB; what vLLM had before --kv-cache-memory-bytes, and still obeys


def serve(
    registry: Registry,
    base: Base,
    host: str | None,
    port: int | None,
    flags: Sequence[str],
    cpu_lora: CpuLora = CpuLora.KERNEL,
) -> None:
    """Serve ``base`` and its adapters until SIGINT or SIGTERM.

    Args:
        registry: where the versions are.
        base: what to serve them over.
        host: address to listen on; None: what ``flags`` (a vLLM config file) say, else loopback only.
        port: likewise, else 8000.
        flags: any vLLM flags.
        cpu_lora: how LoRA is computed where the engine runs on a CPU.

    Raises:
        UsageError: flags that vLLM does not know.
        Conflict, NotFound: the port is taken, the base's files are gone.
        EngineError: no vLLM here, too little memory, or vLLM stopped with an error: its first cause, in one line.
    """
    gc.disable()  # while vLLM is imported: a fifth of that would be looking for garbage. `register` turns it on again
    try:
        _serve(registry, base, host, port, flags, cpu_lora)
    finally:
        gc.enable()


def _serve(
    registry: Registry, base: Base, host: str | None, port: int | None, flags: Sequence[str], cpu_lora: CpuLora
) -> None:
    preflight.check_platform()
    preflight.check_port(host or LOOPBACK, PORT if port is None else port)
    source = preflight.model_source(base)
    os.environ.update(process_defaults(preflight.usable_cores(), os.environ))
    os.environ["VLLM_PLUGINS"] = ",".join(_plugins())
    memory = read_memory()  # before anything of the server takes some
    with closing(begin_early(home_folder() / "cache" / "engine.json")) as early:
        cpu = _is_cpu()
        if not cpu:
            early.forget()
        defaults = engine_defaults(base.fingerprint, registry.snapshot().versions, cpu=cpu)
        args = _parse(source, base, host, port, flags, defaults)
        preflight.check_port(args.host, args.port)
        preflight.check_names(args.served_model_name, (adapter.name for adapter in registry.adapters()))
        kernel = None
        if cpu:
            settle_memory(args, base, memory, os.environ)
            cpu_lora, kernel = prepare(cpu_lora, home_folder() / "cache" / "kernels")
            use_early_engine(early)
        with tempfile.TemporaryDirectory(prefix="lorarack-faults-") as faults:
            ServingSettings(
                registry=str(registry.home),
                base=base.name,
                fingerprint=base.fingerprint,
                cache=str(home_folder() / "cache" / "adapters"),
                faults=faults,
                cpu_lora=cpu_lora,
                kernel=str(kernel) if kernel else None,
            ).to_environment()
            _run(args, Path(faults))


def describe(args: Any, defaults: Sequence[Default]) -> list[str]:
    """One line for each default of ours that holds, with its reason."""
    held = [default for default in defaults if getattr(args, default.key) == default.value]
    return [f"{default.flag} {_shown(default.value)}: {default.reason}" for default in held]


def _shown(value: object) -> str:
    return " ".join(value) if isinstance(value, list) else str(value)


def _parse(
    source: str, base: Base, host: str | None, port: int | None, flags: Sequence[str], defaults: Sequence[Default]
) -> Any:
    from vllm.entrypoints.launchers.cli_args import make_arg_parser, validate_parsed_serve_args
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    class Parser(FlexibleArgumentParser):  # type: ignore[misc, unused-ignore]
        """vLLM's parser, which prints hundreds of flags and exits where it does not know one."""

        def error(self, message: str) -> NoReturn:
            raise UsageError(f"vLLM does not take these flags: {message}.", code="bad_flag")

    parser = make_arg_parser(Parser(prog="lorarack serve"))
    # As defaults, not as flags: whatever the user says, also in a config file, wins.
    parser.set_defaults(host=LOOPBACK, port=PORT, **{default.key: default.value for default in defaults})
    share = parser.get_default(_SHARE)
    parser.set_defaults(**{_SHARE: None})  # to know whether the user gave one, also the same as vLLM's
    given = [f"--host={host}"] if host is not None else []
    given += [f"--port={port}"] if port is not None else []
    try:
        args = parser.parse_args([source, *given, *flags])
        validate_parsed_serve_args(args)
    except (TypeError, ValueError, OSError) as error:
        raise UsageError(f"vLLM does not take these flags: {sentence(error)}.", code="bad_flag") from error
    args.model = args.model_tag = source
    args.memory_share_given = getattr(args, _SHARE) is not None
    if not args.memory_share_given:
        setattr(args, _SHARE, share)
    args.host = args.host or LOOPBACK
    names = args.served_model_name or []
    args.served_model_name = [*names, *([] if base.name in names else [base.name])]
    if args.lora_modules:
        raise UsageError(
            "Adapters come from the registry: publish the folders and leave --lora-modules out.", code="bad_flag"
        )
    if args.headless or args.grpc:
        raise UsageError(
            "`lorarack serve` starts an HTTP server; --headless and --grpc are vLLM's own.", code="bad_flag"
        )
    for line in describe(args, defaults):
        note(line)
    return args


def _run(args: Any, faults: Path) -> None:
    from vllm.entrypoints.cli.serve import ServeSubcommand

    import lorarack.server.vllm_plugin.endpoint  # noqa: F401 - vLLM would only log that it cannot be imported
    from lorarack.server.vllm_plugin.general import register

    register()  # vLLM has loaded its plugins already, to know its flags: before there were settings
    try:
        ServeSubcommand.cmd(args)
    except LorarackError:
        raise
    except KeyboardInterrupt:
        return  # stopped while it started
    except Exception as error:
        raise EngineError(f"vLLM stopped: {first_fault(faults) or sentence(error)}") from error
    except SystemExit as stop:
        if stop.code not in (None, 0):
            raise EngineError(f"vLLM stopped: {first_fault(faults) or f'exit code {stop.code}'}") from stop


def _plugins() -> list[str]:
    """What `VLLM_PLUGINS` must be: as it was, with ours. It filters all groups; unset it admits all but endpoint plugins."""
    if "VLLM_PLUGINS" in os.environ:
        names = [name for name in os.environ["VLLM_PLUGINS"].split(",") if name]
    else:
        installed = entry_points()
        groups = [group for group in installed.groups if group.startswith("vllm.") and group != _OUR_GROUP]
        names = [point.name for group in groups for point in installed.select(group=group)]
    return [*dict.fromkeys([*names, *_OUR_PLUGINS])]


def _is_cpu() -> bool:
    from vllm.platforms import current_platform

    return bool(current_platform.is_cpu())


def settle_memory(args: Any, base: Base, memory: Memory | None, environ: Mapping[str, str]) -> None:
    """Choose the size of the KV cache for a CPU unless the user did, and say it.

    Raises:
        EngineError: the machine has too little memory for what will be asked of it.
    """
    from lorarack.server.vllm_plugin.engine_size import engine_size

    size = engine_size(args, base.parameters)
    if memory is None:
        return
    workers = size.workers * size.engines
    free = memory.for_workers(workers)
    if args.kv_cache_memory_bytes is not None:
        check_memory(size, args.kv_cache_memory_bytes * workers, free)
    elif gibibytes := environ.get(_LEGACY_CACHE, "").strip():
        check_memory(size, int(gibibytes) * GIB * workers if gibibytes.isdigit() else 0, free)
    elif args.memory_share_given:
        asked = int(getattr(args, _SHARE) * memory.total) * workers
        check_memory(size, max(0, asked - size.engines * size.weight_bytes), free)
    else:
        cache = default_cache(size, free)
        check_memory(size, cache, free)
        args.kv_cache_memory_bytes = cache // workers
        each = f", {gib(cache // workers)} for each of {workers} workers" if workers > 1 else ""
        note(f"KV cache: {gib(cache)} of {gib(free)} free{each}; --kv-cache-memory-bytes to change.")
