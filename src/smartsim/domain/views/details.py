"""All that is known of one entity."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from smartsim.domain.errors import EntityNotFoundError
from smartsim.domain.history import History, JobHistory
from smartsim.domain.record_facts import BatchOptions, Files, MLObject, RunOptions
from smartsim.domain.resources import Share
from smartsim.domain.views.table import Row, row

_NAMED = 5  # entities that an error lists


@dataclass(frozen=True, slots=True)
class Detail:
    """One start of an entity, with all that was recorded of it.

    Args:
        row: where it stands.
        command: its command line, word by word.
        command_line: so, as text for a shell.
        directory: that it runs in; relative to that of the experiment, unless it leads out of it. So the other paths.
        stdout: the file of its standard output.
        stderr: so of its errors.
        batch_job: the name of the scheduler's job that it runs in; empty without one.
        batch_script: the script of that.
        batch: its own batch job.
        settings: how it is run.
        files: attached to it.
        placement: what it had of the allocation.
        colocated: the settings of the database on its nodes.
        incoming: the entities whose data it reads.
        ml_models: that it brings along.
        ml_scripts: so.
        starts: all starts of the entity, in their order.
    """

    row: Row
    command: tuple[str, ...]
    command_line: str
    directory: str
    stdout: str
    stderr: str
    batch_job: str
    batch_script: str
    batch: BatchOptions | None
    settings: RunOptions | None
    files: Files | None
    placement: tuple[Share, ...]
    colocated: Mapping[str, Any]
    incoming: tuple[str, ...]
    ml_models: tuple[MLObject, ...]
    ml_scripts: tuple[MLObject, ...]
    starts: tuple[Row, ...]


def details(history: History, entity: str, step: str = "", now: float | None = None) -> Detail:
    """Return all that is known of one start of an entity.

    Args:
        history: of the experiment.
        entity: its name.
        step: the name of the start; empty for the latest.
        now: the time, in seconds since the epoch; None for that of the latest event.

    Raises:
        EntityNotFoundError: there is no such entity or start.
    """
    now = history.latest if now is None else now
    job = find(history, entity, step)
    facts = job.facts
    return Detail(
        row=row(history, job, now),
        command=facts.command,
        command_line=shlex.join(facts.command),
        directory=facts.directory,
        stdout=facts.stdout,
        stderr=facts.stderr,
        batch_job=facts.batch_job,
        batch_script=facts.batch_script,
        batch=facts.batch,
        settings=facts.settings,
        files=facts.files,
        placement=job.placement,
        colocated=facts.colocated,
        incoming=facts.incoming,
        ml_models=facts.ml_models,
        ml_scripts=facts.ml_scripts,
        starts=tuple(row(history, start, now) for start in history.entities[entity]),
    )


def find(history: History, entity: str, step: str = "") -> JobHistory:
    """Return one start of an entity.

    Args:
        history: of the experiment.
        entity: its name.
        step: the name of the start; empty for the latest.

    Raises:
        EntityNotFoundError: there is no such entity or start.
    """
    starts = history.entities.get(entity)
    if starts is None:
        names = list(history.entities)
        known = ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
        raise EntityNotFoundError(
            f"The record has no entity {entity!r}: " + (f"it has {known} ({len(names)} in all)" if names else "none")
        )
    if not step:
        return starts[-1]
    found = next((job for job in starts if job.facts.step == step), None)
    if found is None:
        known = ", ".join(job.facts.step for job in starts[-_NAMED:])
        raise EntityNotFoundError(f"{entity} has no start {step!r}: the latest are {known}")
    return found
