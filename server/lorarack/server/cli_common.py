"""What several commands of the server share: options of `serve`, which `plan` takes too, the key, and a name in JSON."""

import os
from typing import Annotated, TypeAlias

import typer

from lorarack.registry.errors import UsageError
from lorarack.registry.values import naming
from lorarack.server.settings import CpuLora

HostOption: TypeAlias = Annotated[
    str | None,
    typer.Option(help="Address to listen on. Default: 127.0.0.1. Another one wants a key (lorarack key add)."),
]
PortOption: TypeAlias = Annotated[int | None, typer.Option(min=1, max=65535, help="Default: 8000.")]
CpuLoraOption: TypeAlias = Annotated[
    CpuLora,
    typer.Option(help="On a CPU: a kernel compiled for this processor, torch alone, or neither and no compilation."),
]
CloseMetricsOption: TypeAlias = Annotated[
    bool, typer.Option("--close-metrics", help="Ask for a key on /metrics too, one with the scope metrics or admin.")
]
MaxRunningOption: TypeAlias = Annotated[
    int | None,
    typer.Option(min=1, help="Requests in the engine at once; others wait in their adapter's turn. Default: its rows."),
]
MaxWaitingOption: TypeAlias = Annotated[
    int | None, typer.Option(min=1, help="Requests of one adapter that wait; more get 429. Default: any number.")
]
AdapterConcurrencyOption: TypeAlias = Annotated[
    int | None, typer.Option(min=1, help="Requests of one adapter at once; more get 429.")
]
KeyConcurrencyOption: TypeAlias = Annotated[
    int | None, typer.Option(min=1, help="Requests of one key at once; more get 429.")
]
AdapterTokensOption: TypeAlias = Annotated[
    int | None, typer.Option(min=1, help="Tokens that one adapter reads and generates; beyond them 429.")
]
KeyTokensOption: TypeAlias = Annotated[
    int | None, typer.Option(min=1, help="Tokens that one key's requests read and generate; beyond them 429.")
]
PinOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(metavar="REF", help="Keep the version that this reference names loaded. May be repeated."),
]


def key_from_environment() -> str | None:
    """A server's key, from ``LORARACK_TOKEN``.

    Raises:
        UsageError: it is there and empty.
    """
    key = os.environ.get("LORARACK_TOKEN")
    if key is not None and not key.strip():
        raise UsageError("LORARACK_TOKEN is empty; put the server's key in it, or unset it.", code="bad_key")
    return key


def named(answered: str) -> dict[str, str | int | None]:
    """How JSON names what answered: a version, or the base by its plain name."""
    adapter, _, number = answered.rpartition("@")
    if adapter and number.isdecimal():
        return naming(adapter, int(number))
    return {"reference": answered, "adapter": None, "version": None}
