"""vLLM's own parser over our defaults, so that every vLLM flag keeps its meaning. This imports vLLM."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from lorarack.registry.errors import UsageError
from lorarack.server.defaults import LOOPBACK, PORT, Default
from lorarack.server.engine_errors import error_line

_SHARE = "gpu_memory_utilization"


@dataclass(frozen=True, slots=True)
class ParsedFlags:
    """What vLLM made of its arguments.

    Attributes:
        args: vLLM's own namespace.
        vllm_defaults: what vLLM makes of no arguments, by name.
        memory_share: ``--gpu-memory-utilization``, if the user gave one.
        notes: one line for each default of ours that holds, with its reason.
    """

    args: Any
    vllm_defaults: dict[str, Any]
    memory_share: float | None
    notes: tuple[str, ...]


def parse_flags(engine_args: Sequence[str], defaults: Sequence[Default]) -> ParsedFlags:
    """Parse ``engine_args``; where they say nothing, also in a vLLM configuration file, ``defaults`` hold.

    Raises:
        UsageError: flags that vLLM does not take.
    """
    from vllm.entrypoints.launchers.cli_args import make_arg_parser, validate_parsed_serve_args
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    class Parser(FlexibleArgumentParser):  # type: ignore[misc, unused-ignore]
        """vLLM's parser, which prints hundreds of flags and exits where it does not know one."""

        def error(self, message: str) -> NoReturn:
            raise UsageError(f"vLLM does not take these flags: {message}.", code="bad_flag")

    parser = make_arg_parser(Parser(prog="lorarack serve"))
    plain = {action.dest: parser.get_default(action.dest) for action in parser._actions}
    # As defaults, not as flags: the user's flags win, also those in a config file.
    parser.set_defaults(host=LOOPBACK, port=PORT, **{default.key: default.value for default in defaults})
    parser.set_defaults(**{_SHARE: None})  # to know whether the user gave one, also if it is vLLM's own
    try:
        args = parser.parse_args(list(engine_args))
        validate_parsed_serve_args(args)
    except (TypeError, ValueError, OSError) as error:
        raise UsageError(f"vLLM does not take these flags: {error_line(error)}.", code="bad_flag") from error
    share = getattr(args, _SHARE)
    setattr(args, _SHARE, plain[_SHARE] if share is None else share)
    args.host = args.host or LOOPBACK
    return ParsedFlags(args, plain, share, tuple(describe(args, defaults)))


def describe(args: Any, defaults: Sequence[Default]) -> list[str]:
    """One line for each default of ours that holds, with its reason."""
    held = [default for default in defaults if getattr(args, default.key) == default.value]
    return [f"{default.flag} {_shown(default.value)}: {default.reason}" for default in held]


def _shown(value: object) -> str:
    return " ".join(value) if isinstance(value, list) else str(value)
