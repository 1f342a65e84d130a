"""`smart telemetry`: what the samples of an experiment say."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import typer

from smartsim.app.cli.options import Directory, Json
from smartsim.app.cli.tables import print_table, table_of
from smartsim.app.json_text import indented
from smartsim.app.plain_text import amount, printable
from smartsim.app.reading import ExperimentReader
from smartsim.app.usage import ModelUsage, ServerUsage, UsageOfJob, usage
from smartsim.domain.errors import SmartSimError

if TYPE_CHECKING:
    from smartsim.app.usage import Sampled

_SHOWN: Final = 50  # jobs in a table for people
_SERVERS: Final = (
    *("SERVER", "MEMORY", "PEAK", "CLIENTS", "KEYS", "COMMANDS", "PER SECOND", "MOST"),
    *("HITS", "p50 µs", "p99 µs", "p99.9 µs"),
)
_MODELS: Final = ("MODEL", "SERVER", "RUN BY", "CALLS", "ERRORS", "WAITED", "RUN", "IN QUEUE", "MOST")
_JOBS: Final = ("ENTITY", "STATUS", "PEAK MEMORY", "CPU TIME", "CORES", "MOST", "GPU MEMORY", "GPU")


def telemetry(directory: Directory, as_json: Json = False) -> None:
    """Show what databases, models and jobs of an experiment used."""
    try:
        reader = ExperimentReader(directory)
        found = usage(reader.history, reader.metrics)
    except SmartSimError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(os.EX_SOFTWARE) from None
    if as_json:
        typer.echo(indented(found))
        return
    for title, headings, rows in (
        ("Databases", _SERVERS, [_server(server) for server in found.servers]),
        ("Models and scripts", _MODELS, [_model(model) for model in found.models]),
        ("Jobs", _JOBS, [_job(job) for job in found.jobs[:_SHOWN]]),
    ):
        if rows:
            print_table(table_of(headings, rows, right=headings[1:], title=title))
    if len(found.jobs) > _SHOWN:
        typer.echo(f"and {len(found.jobs) - _SHOWN} others that took less memory; --json lists all")
    for sentence in found.missing:
        typer.echo(f"{printable(sentence)}.")


def _server(server: ServerUsage) -> Sequence[str]:
    latest, sampled = server.latest, server.sampled
    return (
        server.server,
        f"{amount(latest.used_memory)}B",
        f"{amount(latest.peak_memory)}B",
        str(latest.clients),
        str(latest.keys),
        str(latest.commands),
        _mean(sampled, "ops_per_second", "{:.0f}"),
        _most(sampled, "ops_per_second", "{:.0f}"),
        _mean(sampled, "hit_rate", "{:.0%}"),
        *(_mean(sampled, name, "{:.0f}") for name in ("p50", "p99", "p999")),
    )


def _model(model: ModelUsage) -> Sequence[str]:
    latest = model.latest
    return (
        model.model,
        model.server,
        f"{latest.backend} on {latest.device}",
        str(latest.calls),
        str(latest.errors),
        "" if model.queue_ms is None else f"{model.queue_ms:.2f} ms",
        "" if model.run_ms is None else f"{model.run_ms:.2f} ms",
        str(latest.queue_length),
        _most(model.sampled, "queue_length", "{:.0f}"),
    )


def _job(job: UsageOfJob) -> Sequence[str]:
    return (
        job.entity,
        job.status,
        f"{amount(job.peak_memory)}B",
        f"{job.latest.cpu_seconds:.1f} s",
        _mean(job.sampled, "cpu", "{:.2f}"),
        _most(job.sampled, "cpu", "{:.2f}"),
        f"{amount(job.sampled.values['gpu_memory'].most)}B" if "gpu_memory" in job.sampled.values else "",
        _mean(job.sampled, "gpu_utilization", "{:.0%}"),
    )


def _mean(sampled: Sampled, name: str, form: str) -> str:
    return form.format(sampled.values[name].mean) if name in sampled.values else ""


def _most(sampled: Sampled, name: str, form: str) -> str:
    return form.format(sampled.values[name].most) if name in sampled.values else ""
