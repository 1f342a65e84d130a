"""bjobs of LSF."""

from __future__ import annotations

import getopt
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from clusters.lookalikes.cluster import Cluster, Job, State
from clusters.lookalikes.lsf_jobs import RefusedError, find, hosts, identifier, shown_name, word

_NONE = 254  # the exit code when there is no such job
_BAD_FIELD = 99
_FIELDS = frozenset(
    {"JOBID", "USER", "STAT", "QUEUE", "FROM_HOST", "EXEC_HOST", "JOB_NAME", "SUBMIT_TIME", "PROJ_NAME"}
    | {"START_TIME", "FINISH_TIME"}
)
_IBM_FIELDS = _FIELDS | {"EXIT_CODE", "JOBINDEX"}
_HEAD = "JOBID   USER    STAT  QUEUE      FROM_HOST   EXEC_HOST   JOB_NAME   SUBMIT_TIME\n"
_CHOICES: Mapping[str, tuple[str, Callable[[Job], bool]]] = {
    "-a": ("No job found", lambda _: True),
    "-d": ("No finished job found", lambda job: job.is_over),
    "-p": ("No pending job found", lambda job: job.state in (State.QUEUED, State.HELD)),
    "-r": ("No running job found", lambda job: job.state in (State.RUNNING, State.EXITING)),
    "-s": ("No suspended job found", lambda job: job.state in (State.SUSPENDED, State.HELD)),
}


def bjobs(cluster: Cluster, argv: Sequence[str], *, is_ibm: bool) -> int:
    """Show jobs: those that are named, in whatever state, or all that have not ended.

    Args:
        cluster: has the jobs.
        argv: what follows the program's name.
        is_ibm: whether it knows the fields of IBM's.
    """
    words = ["--json" if given == "-json" else given for given in argv]
    pairs, names = getopt.getopt(words, "adprswo:u:", ["json"])
    options = dict(pairs)
    fields = _fields(options.get("-o", "JOBID STAT"), is_ibm=is_ibm)
    unknown = [name for name in names if not find(cluster, name)]
    jobs = [job for name in names for job in find(cluster, name)] if names else _chosen(cluster, options)
    if "--json" in options:
        sys.stdout.write(_json(jobs, unknown, fields))
        return 0 if jobs else 255
    if jobs:
        sys.stdout.write(_table(jobs, fields) if "-o" in options else _rows(jobs, is_wide="-w" in options))
    for name in unknown:
        sys.stderr.write(f"Job <{name}> is not found\n")
    return 255 if unknown else 0


def _chosen(cluster: Cluster, options: Mapping[str, str]) -> list[Job]:
    said, wanted = next(
        (_CHOICES[option] for option in options if option in _CHOICES),
        ("No unfinished job found", lambda job: not job.is_over),
    )
    jobs = [job for job in cluster.jobs.values() if wanted(job)]
    if not jobs:
        raise RefusedError(said, _NONE)
    return jobs


def _fields(text: str, *, is_ibm: bool) -> list[str]:
    fields = text.upper().split()
    for field in fields:
        if field not in (_IBM_FIELDS if is_ibm else _FIELDS):
            raise RefusedError(f"<{field}> in the format string is not a valid field name.", _BAD_FIELD)
    return fields


def _value(job: Job, field: str) -> str:
    values: dict[str, str] = {
        "JOBID": str(job.number),
        "USER": job.owner,
        "STAT": word(job),
        "QUEUE": job.queue,
        "FROM_HOST": os.uname().nodename,
        "EXEC_HOST": ":".join(hosts(job)) if job.nodes else "-",
        "JOB_NAME": shown_name(job),
        "SUBMIT_TIME": _time("%b %d %H:%M", job.submitted),
        "PROJ_NAME": job.extra["project"],
        "START_TIME": _time("%m/%d-%H:%M:%S", job.started),
        "FINISH_TIME": _time("%m/%d-%H:%M:%S", job.ended),
        "EXIT_CODE": str(job.returncode) if (job.returncode or 0) > 0 else "",
        "JOBINDEX": str(job.index or 0),
    }
    return values[field]


def _time(form: str, seconds: float) -> str:
    return time.strftime(form, time.localtime(seconds)) if seconds else "-"


def _json(jobs: Sequence[Job], unknown: Iterable[str], fields: Iterable[str]) -> str:
    records = [{field: _value(job, field) for field in fields} for job in jobs]
    records += [{"JOBID": name, "ERROR": f"Job <{name}> is not found"} for name in unknown]
    shown = ", ".join(
        "{\n" + ",\n".join(f'\t\t\t"{name}":\t"{_escaped(value)}"' for name, value in record.items()) + "\n\t\t}"
        for record in records
    )
    return f'{{\n\t"COMMAND":\t"bjobs",\n\t"JOBS":\t{len(records)},\n\t"RECORDS":\t[{shown}]\n}}\n'


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _table(jobs: Sequence[Job], fields: Sequence[str]) -> str:
    rows = [list(fields), *([_value(job, field) for field in fields] for job in jobs)]
    return "".join(f"{' '.join(row)}\n" for row in rows)


def _rows(jobs: Sequence[Job], *, is_wide: bool) -> str:
    """Return the usual table. Where it is not wide, names are cut at their beginning, and each host has a line."""
    lines = [_HEAD]
    for job in jobs:
        first, *others = hosts(job) if job.nodes else [""]
        host, name = (_value(job, "EXEC_HOST"), shown_name(job)) if is_wide else (first, _cut(shown_name(job), 10))
        host = host if job.nodes or not is_wide else "   -"
        lines.append(
            f"{identifier(job).partition('[')[0]:<7} {job.owner:<7} {word(job):<5} {job.queue:<10} "
            f"{os.uname().nodename[:11]:<11} {host:<11} {name:<10} {_value(job, 'SUBMIT_TIME')}\n"
        )
        if not is_wide:
            lines += [f"{'':<45}{other}\n" for other in others]
    return "".join(lines)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"*{text[1 - width :]}"
