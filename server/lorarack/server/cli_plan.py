"""The command `plan`: what a start of the server would do, without starting it."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group
from rich.markup import escape
from rich.table import Table

from lorarack.registry.cli.options import JsonOption, RegistryOption
from lorarack.registry.cli.output import emit
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
)
from lorarack.server.kv_cache import gib
from lorarack.server.settings import AdmissionLimits, CpuLora

if TYPE_CHECKING:
    from lorarack.server.launch_report import LaunchReport, Setting


def plan(
    context: typer.Context,
    base: Annotated[str, typer.Argument(help="The base model, as 'lorarack serve' takes it.")],
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
    json: JsonOption = False,
) -> None:
    """Say what 'lorarack serve' would do with the same arguments: settings with their reasons, memory, what a rank costs.

    Nothing is started. It takes about ten seconds, in which vLLM is imported to read its own flags.

    Example: lorarack plan smollm2 --max-loras 4 --max-model-len 2048
    """
    from lorarack.server.launch import report
    from lorarack.server.launch_plan import ServeOptions

    with open_registry(registry, create=False) as opened:
        found = report(
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
    emit(found, json, lambda: _shown(found))


def _shown(report: "LaunchReport") -> Group:
    head = (
        f"[bold]{escape(report.base)}[/bold] from {escape(report.source)}, at {report.address}, "
        f"with vLLM {report.vllm}; LoRA by {report.lora}"
    )
    settings = Table(title="Settings", title_justify="left")
    for heading in ("setting", "value", "said by", "why"):
        settings.add_column(heading)
    for one in report.settings:
        settings.add_row(one.name, _short(one), one.said_by, escape(one.reason or ""))
    return Group(
        head, settings, *_memory(report), _ranks(report), *_speed(report), *(escape(note) for note in report.notes)
    )


def _short(setting: "Setting") -> str:
    text = "removed" if setting.value is None else setting.value
    return escape(text if len(text) <= 60 else f"{text[:57]}…")


def _memory(report: "LaunchReport") -> list[str]:
    if report.free_bytes is None:
        return ["Memory: vLLM's own default for this GPU."]
    kv = "as vLLM works out" if report.kv_bytes is None else gib(report.kv_bytes)
    tokens = (
        ""
        if report.kv_tokens is None
        else f", {report.kv_tokens} tokens; the longest request has {report.max_model_len}"
    )
    return [
        f"Memory: {gib(report.free_bytes)} free; weights {gib(report.weight_bytes or 0)}, processes about "
        f"{gib(report.process_bytes or 0)}, KV cache {kv}{tokens}.",
    ]


def _speed(report: "LaunchReport") -> list[Table]:
    if not report.speed:
        return []
    table = Table(title="What to expect on this machine, as a start measured it", title_justify="left")
    for heading in ("requests at a time", "each names", "tokens in / out", "first token, idle", "tokens/s"):
        table.add_column(heading, justify="right")
    for one in report.speed:
        table.add_row(
            str(one.requests),
            "the base" if one.rank is None else f"its own rank {one.rank}",
            f"{one.prompt} / {one.output}",
            f"{one.first_token * 1e3:.0f} ms",
            f"{one.tokens_per_second:.0f}",
        )
    return [table]


def _ranks(report: "LaunchReport") -> Table:
    table = Table(
        title=f"What a rank costs: {report.slots} slots of rank {report.max_rank}, {report.places} adapters in host memory",
        title_justify="left",
        caption="On a CPU an adapter costs its own rank. On a GPU every slot takes, and every step computes, the largest rank.",
        caption_justify="left",
    )
    for heading in ("rank", "one adapter", "all slots", "all in host memory", "computing"):
        table.add_column(heading, justify="right")
    for cost in report.ranks:
        table.add_row(
            str(cost.rank), gib(cost.adapter_bytes), gib(cost.slots_bytes), gib(cost.host_bytes), f"+{cost.compute - 1:.1%}"
        )  # fmt: skip
    return table
