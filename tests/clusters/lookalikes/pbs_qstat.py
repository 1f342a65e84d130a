"""qstat of PBS."""

from __future__ import annotations

import getopt
import itertools
import json
import re
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

from clusters.lookalikes import processes
from clusters.lookalikes.cluster import Cluster, Job, State
from clusters.lookalikes.pbs_jobs import HAS_FINISHED, NO_HISTORY, SERVER, RefusedError, find, full_id, identifier

_LETTERS = {
    State.HELD: "H",
    State.QUEUED: "Q",
    State.RUNNING: "R",
    State.SUSPENDED: "S",
    State.EXITING: "E",
    State.ENDED: "F",
}
_SUBSTATES = {
    State.HELD: 20,
    State.QUEUED: 10,
    State.RUNNING: 42,
    State.SUSPENDED: 45,
    State.EXITING: 53,
}
_DELETED, _ENDED_WELL, _FAILED = 91, 92, 93
_SIGNALLED, _OVER_WALLTIME = 256, -29
_WIDTH = 79  # of a line, before it goes on in the next
_HEAD = """\
Job id            Name             User              Time Use S Queue
----------------  ---------------- ----------------  -------- - -----
"""
_SERVER = """\
Server             Max   Tot   Que   Run   Hld   Wat   Trn   Ext Status
---------------- ----- ----- ----- ----- ----- ----- ----- ----- -----------
{server:<16}     0 {total:>5} {Q:>5} {R:>5} {H:>5}     0     0 {E:>5} Active
"""

Record = dict[str, Any]


def qstat(cluster: Cluster, argv: Sequence[str]) -> int:
    """Show jobs: those that are named, or all that have not ended (with -x those, too)."""
    pairs, names = getopt.getopt(list(argv), "BfF:tx")
    options = dict(pairs)
    if "-B" in options:
        letters = [_LETTERS[job.state] for job in cluster.jobs.values()]
        counts = {letter: letters.count(letter) for letter in "QRHE"}
        sys.stdout.write(_SERVER.format(server=SERVER, total=len(letters), **counts))
        return 0
    everything = list(dict.fromkeys(full_id(job) for job in cluster.jobs.values()))
    records: list[Record] = []
    code = 0
    for name in names or everything:
        try:
            records += _records(cluster, name, finished="-x" in options, elements="-t" in options)
        except RefusedError as refused:
            if names:
                sys.stderr.write(f"qstat: {refused}\n")
                code = refused.code
    if "-f" not in options:
        sys.stdout.write(_table(records))
    elif options.get("-F") == "json":
        sys.stdout.write(_json(records))
    else:
        sys.stdout.write("".join(f"{_text(record)}\n" for record in records))
    return code


def _records(cluster: Cluster, name: str, *, finished: bool, elements: bool) -> Iterator[Record]:
    """Return what there is to say of a job: with `elements` of each of an array's after the array itself."""
    if finished and not cluster.config.history:
        raise RefusedError(f"PBS is not configured to maintain job history {name}", NO_HISTORY)
    jobs = find(cluster, name)
    whole = [job for job in cluster.jobs.values() if job.number == jobs[0].number]
    if all(job.is_over for job in whole) and not finished:
        raise RefusedError(
            f"{full_id(jobs[0])} Job has finished, use -x or -H to obtain historical job information", HAS_FINISHED
        )
    is_array = jobs[0].index is not None
    of_array = [_of_array(whole)] if is_array and len(jobs) == len(whole) else []
    if is_array and of_array and not elements:
        return iter(of_array)
    ended = "F" if all(job.is_over for job in whole) else "X"
    return itertools.chain(of_array, (_of_job(cluster, job, ended) for job in jobs))


def _of_array(jobs: Sequence[Job]) -> Record:
    states = {job.state for job in jobs}
    letter = "F" if states == {State.ENDED} else "Q" if states <= {State.QUEUED, State.HELD} else "B"
    indices = [job.index for job in jobs]
    return {
        "Job Id": full_id(jobs[0]),
        "Job_Name": jobs[0].name,
        "Job_Owner": f"{jobs[0].owner}@{SERVER}",
        "job_state": letter,
        "queue": jobs[0].queue,
        "server": SERVER,
        "array": "True",
        "array_indices_submitted": f"{indices[0]}-{indices[-1]}",
    }


def _of_job(cluster: Cluster, job: Job, ended: str) -> Record:
    record: Record = {"Job Id": identifier(job), "Job_Name": job.name, "Job_Owner": f"{job.owner}@{SERVER}"}
    if job.started:
        used = int((job.ended or time.time()) - job.started)
        if job.runs and job.session:
            seconds, memory = processes.usage(job.session)
            record["resources_used.cput"] = time.strftime("%H:%M:%S", time.gmtime(seconds))
            record["resources_used.mem"] = f"{memory // 1024}kb"
        record["resources_used.ncpus"] = sum(chunk.cpus for chunk in job.chunks)
        record["resources_used.walltime"] = time.strftime("%H:%M:%S", time.gmtime(used))
    record |= {
        "job_state": ended if job.is_over else _LETTERS[job.state],
        "queue": job.queue,
        "server": SERVER,
        "Error_Path": f"{SERVER}:{job.extra['Error_Path']}",
    }
    if job.started:
        placed = list(zip(job.chunks, job.nodes, strict=True))
        record["exec_host"] = "+".join(
            f"{node}/0{f'*{chunk.cpus}' if chunk.cpus > 1 else ''}" for chunk, node in placed
        )
        record["exec_vnode"] = "+".join(f"({node}:ncpus={chunk.cpus})" for chunk, node in placed)
    record["Output_Path"] = f"{SERVER}:{job.extra['Output_Path']}"
    record |= {f"Resource_List.{name}": value for name, value in job.extra["resources"].items()}
    if job.session:
        record["session_id"] = job.session
    record["substate"] = _substate(job)
    record["Variable_List"] = {k: v for k, v in job.environment.items() if k not in ("HOME", "SHELL", "USER")}
    comment = _comment(cluster, job)
    if comment:
        record["comment"] = comment
    status = _exit_status(job)
    if status is not None:
        record["Exit_status"] = status
    return record


def _substate(job: Job) -> int:
    if not job.is_over:
        return _SUBSTATES[job.state]
    if job.cause == "deleted":
        return _DELETED
    return _FAILED if _exit_status(job) else _ENDED_WELL


def _exit_status(job: Job) -> int | None:
    if job.returncode is None:
        return None
    if job.cause == "limit":
        return _OVER_WALLTIME
    if job.returncode >= 0:
        return job.returncode
    # Recorded: a job that a qdel ends by a signal has 0.
    return 0 if job.cause == "deleted" else _SIGNALLED - job.returncode


def _comment(cluster: Cluster, job: Job) -> str:
    if job.started:
        where = "+".join(f"({node}:ncpus={chunk.cpus})" for chunk, node in zip(job.chunks, job.nodes, strict=True))
        return f"Job run at {time.strftime('%a %b %d at %H:%M', time.localtime(job.started))} on {where}"
    if job.state is not State.QUEUED:
        return ""
    total, free = sum(cluster.config.nodes.values()), sum(cluster.free().values())
    wanted = sum(chunk.cpus for chunk in job.chunks)
    if not cluster.can_ever_run(job):
        return f"Can Never Run: Insufficient amount of resource: ncpus (R: {wanted} A: {total} T: {total})"
    return f"Not Running: Insufficient amount of resource: ncpus (R: {wanted} A: {free} T: {total})"


def _table(records: Sequence[Record]) -> str:
    rows = []
    for record in records:
        used = record.get("resources_used.walltime", "0")
        rows.append(
            f"{record['Job Id'][:17]:<17} {record['Job_Name'][:16]:<16} {record['Job_Owner'].partition('@')[0]:<16}  "
            f"{used:>8} {record['job_state']} {record['queue']:<16}\n"
        )
    return _HEAD + "".join(rows) if rows else ""


def _text(record: Record) -> str:
    lines = [f"Job Id: {record['Job Id']}\n"]
    for name, value in record.items():
        if name != "Job Id":
            shown = ",".join(f"{k}={_escaped(v)}" for k, v in value.items()) if isinstance(value, dict) else value
            lines.append(_wrapped(f"    {name} = {shown}"))
    return "".join(lines)


def _escaped(value: str) -> str:
    return value.replace(",", "\\,")


def _wrapped(line: str) -> str:
    pieces = [line[:_WIDTH]]
    rest = line[_WIDTH:]
    pieces += [rest[start : start + _WIDTH - 8] for start in range(0, len(rest), _WIDTH - 8)]
    return "\n\t".join(pieces) + "\n"


def _json(records: Sequence[Record]) -> str:
    """Return JSON as it comes out of PBS: what looks like a number is one."""
    jobs: dict[str, Record] = {}
    for record in records:
        shown: Record = {}
        for name, value in record.items():
            group, _, part = name.partition(".")
            if name == "Job Id":
                continue
            if part:
                shown.setdefault(group, {})[part] = _number(value)
            else:
                shown[name] = {k: _number(v) for k, v in value.items()} if isinstance(value, dict) else _number(value)
        jobs[record["Job Id"]] = shown
    answer = {"timestamp": int(time.time()), "pbs_version": "23.06.06", "pbs_server": SERVER}
    return json.dumps(answer | ({"Jobs": jobs} if jobs else {}), indent=4, separators=(",", ":")) + "\n"


def _number(value: object) -> object:
    return int(value) if isinstance(value, str) and re.fullmatch(r"-?(0|[1-9]\d*)", value) else value
