"""Checks before vLLM starts, which would take it many seconds to fail."""

import ipaddress
import platform
import socket
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from lorarack.registry import Base, Registry
from lorarack.registry.bases import why_no_lora
from lorarack.registry.cli.output import note
from lorarack.registry.cli.progress import reading_weights
from lorarack.registry.errors import Conflict, EngineError, UsageError
from lorarack.registry.values import CheckedBase
from lorarack.server.launch_plan import COMPILED
from lorarack.server.user_cache import untrusted_reason
from lorarack.server.vllm_version import KNOWN, InstalledVllm, installed_vllm


def check_platform() -> InstalledVllm:
    """Check for Linux and vLLM; the installed vLLM.

    Raises:
        EngineError: one of the two is missing, or it is a vLLM whose LoRA on a CPU is not checked.
    """
    if platform.system() != "Linux":
        raise EngineError(
            f"Serving needs Linux, and this is {platform.system()}; the registry and training work here.",
            code="no_vllm",
        )
    found = installed_vllm()
    if found is None:
        raise EngineError(
            "Serving needs vLLM: install lorarack[cpu] or, on a machine with a GPU, lorarack[gpu].", code="no_vllm"
        )
    if found.cpu and not found.known:
        raise EngineError(
            f"LoRA on a CPU is served with vLLM {KNOWN}x only, and this is {found.version}: "
            "its own CPU path gives base-model requests another request's adapter. Install lorarack[cpu].",
            code="no_vllm",
        )
    return found


def check_compile_caches(environ: Mapping[str, str]) -> None:
    """Check that nobody else can write to the folders for compiled code that the user named.

    Raises:
        EngineError: one is; what lies there would run in the server.
    """
    for name in COMPILED:
        place = environ.get(name)
        if place and Path(place).exists() and (reason := untrusted_reason(Path(place))):
            raise EngineError(f"{name}: {reason} Make it yours alone, or unset the variable.", code="shared_cache")


def check_port(host: str, port: int) -> None:
    """Check that the server can listen there.

    Raises:
        Conflict: something listens there already.
        UsageError: no such address here, or a port that this user may not take.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (TypeError, UnicodeError) as error:  # a NUL, or half of a character
            raise UsageError(f"--host {host!a} is not an address.", code="bad_host") from error
        except OSError as error:
            if error.errno == 98:  # EADDRINUSE
                raise Conflict(
                    f"Port {port} on {host} is taken; stop what listens there or give another with --port.",
                    code="port_taken",
                ) from error
            raise UsageError(
                f"Nothing can listen on {host!r}, port {port}: {error.strerror or error}.", code="bad_host"
            ) from error


def check_exposure(host: str | None, *, asks_for_keys: bool, close_metrics: bool) -> None:
    """Check that a server that other machines can reach requires keys. ``host`` None: it listens on a socket in a folder.

    Raises:
        UsageError: it would be open without a key; or no key could read its metrics.
    """
    if asks_for_keys:
        return
    if close_metrics:
        raise UsageError(
            "--close-metrics would close them to everybody, for there is no key: make one with 'lorarack key add NAME --scope "
            "metrics', or leave it out.",
            code="no_key",
        )
    if host is not None and not _is_loopback(host):
        raise UsageError(
            f"--host {host[:80]!a} lets other machines use this server, and it has no key to ask for: make one with "
            "'lorarack key add NAME', give --api-key, or leave --host out.",
            code="no_key",
        )


def _is_loopback(host: str) -> bool:
    try:
        found = {str(address[4][0]).partition("%")[0] for address in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):
        return False
    return all(ipaddress.ip_address(address).is_loopback for address in found)


def check_names(served: Iterable[str], adapters: Iterable[str]) -> None:
    """Base models and adapters share one name space.

    Raises:
        UsageError: a name for the base that is an adapter's, or looks like a reference to one.
    """
    taken = frozenset(adapters)
    for name in served:
        if name in taken or "@" in name:
            raise UsageError(
                f"--served-model-name {name!r} is or looks like a reference to an adapter; give the base another name.",
                code="bad_name",
            )


def check_pins(pins: Sequence[str], places: int) -> None:
    """Check that pins leave a place for what is not pinned.

    Raises:
        UsageError: they do not.
    """
    if len(pins) >= places:
        raise UsageError(
            f"--pin is given {len(pins)} times and the engine keeps {places} adapters, of which one must be free for others; "
            f"give --max-cpu-loras {len(pins) + 1} or more.",
            code="too_many_pins",
        )


def check_lora_support(base: Base) -> None:
    """Check that vLLM serves adapters on a base of this architecture.

    Raises:
        EngineError: it does not.
    """
    why = why_no_lora(base.architecture)
    if why is not None:
        raise EngineError(
            f"{why}, and this server is for adapters; serve {base.name!r} with `vllm serve`.", code="no_lora"
        )


def check_base(registry: Registry, name: str) -> CheckedBase:
    """Check that the base's files still have its fingerprint; what to load.

    Every byte counts; files that are unchanged since they were last read are not read again.

    Raises:
        NotFound: the base is known by a folder only, and that folder is gone.
        Conflict: the files are another model by now.
        InvalidArtifact: the files are no model any more.
    """
    with reading_weights() as progress:
        checked = registry.check_base(name, full=True, progress=progress)
    for line in checked.notes:
        note(line)
    return checked
