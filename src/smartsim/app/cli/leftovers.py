"""`smart ps` and `smart reap`: what experiments left running."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from smartsim.adapters.database.valkey import ValkeyServer
from smartsim.adapters.filesystem.posix import PosixFileSystem
from smartsim.adapters.wlm.own import own_processes
from smartsim.app.cli.options import Json
from smartsim.app.cli.tables import print_table, table_of
from smartsim.app.leftovers import Leftover, find_leftovers
from smartsim.app.reading import ExperimentReader
from smartsim.app.reaped_jobs import ReapedJobs
from smartsim.app.reaping import choose, reap
from smartsim.app.remote_control import user_here
from smartsim.app.unfinished import Unfinished, find_unfinished
from smartsim.domain.errors import SmartSimError

if TYPE_CHECKING:
    from rich.table import Table


def ps(
    directory: Annotated[
        str | None, typer.Argument(metavar="[DIRECTORY]", help="Of an experiment, for that alone and its batch jobs.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List what your experiments left running on this machine; of one, the jobs of schedulers, too."""
    found = _leftovers()
    jobs: list[Unfinished] = []
    if directory is not None:
        found = [
            each
            for each in found
            if each.experiment and os.path.realpath(each.experiment) == os.path.realpath(directory)
        ]
        try:
            jobs = find_unfinished(ExperimentReader(directory).history, socket.gethostname())
        except SmartSimError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(os.EX_SOFTWARE) from None
    if as_json:
        typer.echo(json.dumps([*map(asdict, found), *map(asdict, jobs)], indent=2))
        return
    if not found:
        whose = "No experiment of yours" if directory is None else "The experiment"
        typer.echo(f"{whose} has {'anything' if directory is None else 'nothing'} running on this machine.")
    else:
        print_table(_table(found))
    if jobs:
        typer.echo("Jobs without an end in the record:")
        print_table(_jobs(jobs))


def _leftovers() -> list[Leftover]:
    return find_leftovers(own_processes(), PosixFileSystem())


def _table(leftovers: list[Leftover]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None)
    for heading in ("NAME", "KIND", "DRIVER", "AGE", "MEMORY", "PID", "ADDRESS", "PATH"):
        table.add_column(heading, overflow="fold", no_wrap=heading != "PATH")
    for leftover in leftovers:
        pids = [server.pid for server in leftover.servers] or leftover.processes[:1]
        row = (
            leftover.name,
            leftover.kind,
            "gone" if leftover.driver is None else str(leftover.driver),
            _duration(leftover.age),
            f"{leftover.memory / 1e6:.0f} MB",
            "\n".join(map(str, pids)),
            "\n".join(server.address or "" for server in leftover.servers),
            leftover.path,
        )
        table.add_row(*map(Text, row))
    return table


def _jobs(jobs: Sequence[Unfinished]) -> Table:
    now = time.time()
    rows = (
        (
            *(job.name, job.status, job.batch_job, job.native_id, f"{job.driver} on {job.host}"),
            *(_duration(max(0.0, now - job.submitted_at)), job.path),
        )
        for job in jobs
    )
    return table_of(("NAME", "STATUS", "JOB", "ID", "DRIVER", "AGE", "PATH"), rows)


def _duration(seconds: float) -> str:
    """Return a time in its two largest units."""
    minutes, hours, days = (int(seconds // unit) for unit in (60, 3600, 86400))
    if days:
        return f"{days} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min {int(seconds % 60)} s" if minutes else f"{int(seconds)} s"


def reap_command(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME|PATH]...", help="What `smart ps` lists, or an experiment's path."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Everything whose driver has gone.")] = False,
    save: Annotated[bool, typer.Option("--save", help="Have databases save their data first, in any case.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also what a driver that runs still uses.")] = False,
    as_json: Json = False,
) -> None:
    """End what your experiments left running on this machine."""
    if everything == bool(names):
        raise typer.BadParameter("give the names or paths of what is to end, or --all")
    found = _leftovers()
    try:
        chosen = found if everything else choose(found, names or [])
    except SmartSimError as error:
        typer.echo(
            json.dumps({"ended": [], "left": [], "error": str(error)}) if as_json else str(error), err=not as_json
        )
        raise typer.Exit(1) from None
    if everything and not force:
        chosen = [leftover for leftover in chosen if leftover.driver is None]
    jobs = ReapedJobs(by=f"{user_here()} with smart reap")
    reasons = [(leftover, _reap(leftover, jobs, save, force)) for leftover in chosen]
    if as_json:
        ended = [_named(leftover) for leftover, reason in reasons if reason is None]
        left = [{**_named(leftover), "reason": reason} for leftover, reason in reasons if reason is not None]
        typer.echo(json.dumps({"ended": ended, "left": left}, indent=2))
    else:
        for leftover, reason in reasons:
            words = f"{leftover.kind} {leftover.name} ({leftover.path})"
            typer.echo(f"{words}: {reason}" if reason else f"{words} has ended", err=reason is not None)
        if not reasons:
            typer.echo("There is nothing to end.")
    if any(reason is not None for _, reason in reasons):
        raise typer.Exit(1)


def _reap(listed: Leftover, jobs: ReapedJobs, save: bool, force: bool) -> str | None:
    # What was ended before may have taken some time, and this with it: a database ends after its application.
    leftover = next((each for each in _leftovers() if set(each.processes) & set(listed.processes)), None)
    if leftover is None:
        return None
    if leftover.driver is not None and not force:
        return f"its driver, process {leftover.driver}, still uses it; --force ends it all the same"
    return reap(leftover, ValkeyServer(), PosixFileSystem(), jobs, save=save)


def _named(leftover: Leftover) -> dict[str, str]:
    return {"kind": leftover.kind, "name": leftover.name, "path": leftover.path}
