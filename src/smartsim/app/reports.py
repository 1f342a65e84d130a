"""What a person reads of an experiment: the end of a job, the plan of a launch, the table at the end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from smartsim.app.colocated_start import found_problems
from smartsim.app.logs import get_logger
from smartsim.domain.status import SmartSimStatus

if TYPE_CHECKING:
    from smartsim.app.jobs import Job
    from smartsim.app.launching import Manifest
    from smartsim.ports.file_system import FileReader

_SUMMARY_HEADERS = ("Name", "Entity-Type", "JobID", "RunID", "Time", "Status", "Returncode")
_TAIL_BYTES = 2000


def job_line(job: Job) -> str:
    """Return who a job is and where it stands."""
    return f"{job}: {job.state.status}"


def announce_end(files: FileReader, job: Job) -> None:
    """Tell of a job's end: one line when all is well, what a person needs to find the fault otherwise."""
    logger = get_logger(__name__)
    problems = found_problems(files, job)
    if job.state.status is not SmartSimStatus.STATUS_FAILED:
        logger.info(job_line(job))
        for problem in problems:
            logger.warning(problem)
        return
    logger.warning(job_line(job))
    lines = [f"{job.entity} failed. See below for details", *problems]
    error = tail(files, job.step.stderr)
    if error:
        lines += [f"{job.entity_type} {job.entity} produced the following error", f"Error: {error}"]
    lines += [
        f"Job status at failure: {job.state.status}",
        f"Launcher status at failure: {job.state.status.value}",
        f"Job returncode: {job.state.returncode} ({job.state.reason})",
        f"Error and output file located at: {job.step.working_directory}",
    ]
    logger.warning("\n".join(lines))


def tail(files: FileReader, path: str) -> str:
    """Return the end of a file that a job wrote; empty when there is none."""
    try:
        return files.read(path, last=_TAIL_BYTES).decode("utf-8", "replace").strip()
    except OSError:
        return ""


def summary_table(jobs: Iterable[Job], style: str) -> str:
    """Return a table of jobs that ended, one row per run.

    Raises:
        ValueError: there is no such style.
    """
    from tabulate import tabulate, tabulate_formats

    if style not in tabulate_formats:
        raise ValueError(f"There is no table style {style!r}: use one of {', '.join(tabulate_formats)}")
    rows = [
        (
            job.entity,
            job.entity_type,
            job.state.native_id,
            job.run,
            f"{_duration(job):.4f}",
            str(job.state.status),
            job.state.returncode,
        )
        for job in jobs
    ]
    return tabulate(rows, _SUMMARY_HEADERS, showindex=True, tablefmt=style, missingval="None", disable_numparse=True)


def _duration(job: Job) -> float:
    state = job.state
    return 0.0 if state.ended_at is None else state.ended_at - (state.started_at or state.submitted_at)


def launch_summary(name: str, exp_path: str, launcher: str, manifest: Manifest, *, database_runs: bool) -> str:
    """Return what is about to be launched, for a person to check."""
    database = "launching" if manifest.databases else "active" if database_runs else "inactive"
    lines = [
        "",
        "",
        "=== Launch Summary ===",
        f"Experiment: {name}",
        f"Experiment Path: {exp_path}",
        f"Launcher: {launcher}",
        f"Models: {len(manifest.models)}",
        f"Database Status: {database}",
    ]
    if manifest.ensembles:
        lines += ["", "=== Ensembles ==="]
        for ensemble in manifest.ensembles:
            lines += [ensemble.name, f"Members: {len(ensemble)}", f"Batch Launch: {bool(ensemble.batch)}"]
            if ensemble.batch_settings is not None:
                lines.append(str(ensemble.batch_settings))
    if manifest.models:
        lines += ["", "=== Models ==="]
        for model in manifest.models:
            lines += [model.name, str(model.run_settings)]
            if model.params:
                lines += ["Parameters:", *(f"\t{key} = {value}" for key, value in model.params.items())]
    if manifest.databases:
        lines += ["", "=== Database ==="]
        for orchestrator in manifest.databases:
            lines += [
                f"Shards: {orchestrator.num_shards}",
                f"Port: {orchestrator.port or 'any that is free'}",
                f"Network: {', '.join(orchestrator.interfaces)}",
                f"Batch Launch: {orchestrator.batch}",
            ]
    return "\n".join(lines) + "\n"
