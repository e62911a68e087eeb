"""Commands of the server component: serve, ask, doctor; `plan` and `top` are in files of their own."""

import os
import sys
from typing import Annotated

import typer
from rich.markup import escape

from lorarack.registry.cli.options import JsonOption, RegistryOption
from lorarack.registry.cli.output import emit, note, out
from lorarack.registry.errors import EngineError, UsageError
from lorarack.registry.registry import open_registry
from lorarack.server.cli_common import (
    AdapterConcurrencyOption,
    AdapterTokensOption,
    CloseMetricsOption,
    CpuLoraOption,
    HostOption,
    KeyConcurrencyOption,
    KeyTokensOption,
    MaxRunningOption,
    MaxWaitingOption,
    PinOption,
    PortOption,
    key_from_environment,
    named,
)
from lorarack.server.cli_plan import plan
from lorarack.server.cli_top import top
from lorarack.server.settings import AdmissionLimits, CpuLora


def mount(app: typer.Typer) -> None:
    """Add the commands to the root application."""
    app.command("serve", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(serve)
    app.command("plan", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(plan)
    app.command("ask")(ask)
    app.command("top")(top)
    app.command("doctor")(doctor)


def serve(
    context: typer.Context,
    base: Annotated[
        str, typer.Argument(help="The base model: name, Hub id or folder, as 'lorarack base list' has it.")
    ],
    host: HostOption = None,
    port: PortOption = None,
    registry: RegistryOption = None,
    cpu_lora: CpuLoraOption = CpuLora.KERNEL,
    close_metrics: CloseMetricsOption = False,
    max_running: MaxRunningOption = None,
    max_waiting: MaxWaitingOption = None,
    adapter_concurrency: AdapterConcurrencyOption = None,
    key_concurrency: KeyConcurrencyOption = None,
    adapter_tokens_per_minute: AdapterTokensOption = None,
    key_tokens_per_minute: KeyTokensOption = None,
    pin: PinOption = None,
) -> None:
    """Serve a base model and all its adapters with vLLM, OpenAI-compatible. Any vLLM flag can follow.

    References are model names: support, support@3, support@prod, support@r16. The base answers to its plain name.

    Example: lorarack serve smollm2 --port 8000 --max-loras 4 --max-model-len 2048
    """
    from lorarack.server.launch import serve as start
    from lorarack.server.launch_plan import ServeOptions

    with open_registry(registry, create=False) as opened:
        start(
            opened,
            opened.base(base),
            ServeOptions(
                context.args,
                host=host,
                port=port,
                cpu_lora=cpu_lora,
                close_metrics=close_metrics,
                admission=AdmissionLimits(
                    max_running=max_running,
                    max_waiting=max_waiting,
                    adapter_concurrency=adapter_concurrency,
                    key_concurrency=key_concurrency,
                    adapter_tokens_per_minute=adapter_tokens_per_minute,
                    key_tokens_per_minute=key_tokens_per_minute,
                ),
                pins=pin or (),
            ),
        )
    note("Stopped.")
    # vLLM has stopped its processes by now. An ordinary exit would print a page about objects that Triton's bindings leak.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def doctor(
    base: Annotated[
        str | None, typer.Argument(help="The base model to be served; without it, all are looked at.")
    ] = None,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Look for what would keep a server from starting, or from being right or fast. Exits with 1 when there is a problem.

    Example: lorarack doctor smollm2
    """
    from lorarack.server.doctor import Result, examine

    findings = []
    marks = {
        Result.OK: "[green]ok[/green]",
        Result.WARNING: "[yellow]warning[/yellow]",
        Result.PROBLEM: "[red]problem[/red]",
    }
    with open_registry(registry, create=False) as opened:
        for finding in examine(opened, opened.base(base) if base is not None else None):
            findings.append(finding)
            if not json:
                remedy = f" ({escape(finding.remedy)})" if finding.remedy else ""
                out.print(f"{marks[finding.result]} {escape(finding.check)}: {escape(finding.found)}{remedy}")
    if json:
        emit(findings, True, lambda: None)
    problems = [finding.check for finding in findings if finding.result is Result.PROBLEM]
    if problems:
        raise EngineError(
            f"A server would not start here, or not serve right: see {', '.join(problems)}.", code="problems"
        )


def ask(
    reference: Annotated[str, typer.Argument(metavar="REF", help="A reference, or the base's name.")],
    prompt: Annotated[str, typer.Argument(help="The question; '-' reads it from standard input.")],
    url: Annotated[
        str, typer.Option(envvar="LORARACK_URL", help="The running server's address.")
    ] = "http://127.0.0.1:8000",
    system: Annotated[str | None, typer.Option(help="A system message before the question.")] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="The longest answer, in tokens.")] = 256,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 takes the likeliest token each time.")] = 0.0,
    raw: Annotated[bool, typer.Option("--raw", help="Complete the text as it is, without the chat template.")] = False,
    json: JsonOption = False,
) -> None:
    """Ask a running server; the answer is printed as it comes. A key is taken from LORARACK_TOKEN.

    Example: lorarack ask support@prod "Where is my order?"
    """
    from lorarack.server.client import Prompt
    from lorarack.server.client import ask as stream

    if raw and system:
        raise UsageError("--raw sends the text as it is and has no place for --system; leave one of the two out.")
    text = sys.stdin.read() if prompt == "-" else prompt
    question = Prompt(reference, text, system, max_tokens, temperature, raw)
    pieces = []
    for piece in stream(url, question, key_from_environment()):
        pieces.append(piece)
        if not json:
            out.print(piece.text, end="", markup=False)
    if not pieces:
        raise UsageError("The server gave no answer.", code="no_answer")
    last = pieces[-1]
    answer = {
        **named(last.version),
        "digest": last.digest,
        "answer": "".join(piece.text for piece in pieces),
        "tokens": last.tokens,
        "finish_reason": next((p.finish_reason for p in reversed(pieces) if p.finish_reason), None),
    }
    if json:
        emit(answer, True, lambda: None)
        return
    out.print()
    note(f"{last.version}, {last.tokens} tokens" + (" (cut off)" if answer["finish_reason"] == "length" else ""))
