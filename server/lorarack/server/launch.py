"""Starts vLLM in this process, through its own dispatch, so that every vLLM flag keeps its meaning."""

import gc
import os
import tempfile
from collections.abc import Sequence
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
from lorarack.server.settings import CpuLora, ServingSettings
from lorarack.server.vllm_plugin.early_engine import begin_early, use_early_engine

_OUR_PLUGINS = ("lorarack", "lorarack_http")
_OUR_GROUP = "vllm.endpoint_plugins"


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
    available = preflight.available_memory()  # before anything of the server takes some
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
            preflight.check_memory(available, *_memory_needed(base, args))
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
    given = [f"--host={host}"] if host is not None else []
    given += [f"--port={port}"] if port is not None else []
    try:
        args = parser.parse_args([source, *given, *flags])
        validate_parsed_serve_args(args)
    except (TypeError, ValueError, OSError) as error:
        raise UsageError(f"vLLM does not take these flags: {sentence(error)}.", code="bad_flag") from error
    args.model_tag = source
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


def _memory_needed(base: Base, args: Any) -> tuple[int, str]:
    weights = base.parameters * (4 if args.dtype in ("float", "float32") else 2)
    cache = args.kv_cache_memory_bytes or 0
    gib = 2**30
    what = f"weights {weights / gib:.1f}, KV cache {cache / gib:.1f}, processes {preflight.PROCESSES_BYTES / gib:.0f}"
    return weights + cache + preflight.PROCESSES_BYTES, what
