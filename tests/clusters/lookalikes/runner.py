"""The process that runs one job to its end: the node's part of a scheduler."""

from __future__ import annotations

import os
import signal
import time
import traceback
from collections.abc import Mapping
from typing import NoReturn

from clusters.lookalikes import processes
from clusters.lookalikes.cluster import MARKER, WATCHED, Cluster, Job, State

_NOT_FOUND, _NOT_EXECUTABLE = 127, 126


def become(directory: str, key: str) -> NoReturn:
    """Run a job in this process, which was forked for it; the signals that it waits for are blocked."""
    code = 1
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        log = os.open(os.path.join(directory, "runner.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for source, target in ((null, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        try:
            _run(Cluster(directory), key)
            code = 0
        except BaseException:  # noqa: BLE001 - a forked process must not go on as its parent
            os.write(log, traceback.format_exc().encode())
    finally:
        os._exit(code)


def _run(cluster: Cluster, key: str) -> None:
    with cluster:
        job = cluster.jobs[key]
        environment = {**cluster.front.environment(cluster, job), MARKER: cluster.directory}
        child, failure = _spawn(job, environment)
        job.session = child
        cluster.save(job)
    returncode = _watch(cluster, job, child) if child else failure
    with cluster:
        job = cluster.jobs[key]
        job.state, job.returncode = State.EXITING, returncode
        cluster.save(job)
    signal.sigtimedwait({signal.SIGQUIT}, cluster.config.epilogue)
    with cluster:
        cluster.end(cluster.jobs[key])


def _spawn(job: Job, environment: Mapping[str, str]) -> tuple[int, int]:
    """Return the process of a job, or 0 and the exit code that a shell has for what cannot be started."""
    create = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    files = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, job.stdout, create, 0o666),
        (os.POSIX_SPAWN_OPEN, 2, job.stderr, create, 0o666),
    ]
    try:
        os.chdir(job.directory)
        child = os.posix_spawn(
            job.argv[0],
            job.argv,
            environment,
            file_actions=files,
            setsid=True,
            setsigmask=(),
            setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),  # which Python ignores
        )
    except OSError as error:
        with open(job.stderr, "a", encoding="utf-8") as stream:
            stream.write(f"{job.argv[0]}: {error.strerror}\n")
        return 0, _NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_EXECUTABLE
    return child, 0


def _watch(cluster: Cluster, job: Job, child: int) -> int:
    """Wait for a job's end, and bring it about when it is due or wished for; return how it ended."""
    front, delay = cluster.front, cluster.config.kill_delay
    due = None if job.limit is None else time.monotonic() + job.limit
    to_send: list[signal.Signals] = []
    while True:
        got = _next_signal(due)
        if got is not None and got.si_signo == signal.SIGCHLD:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                processes.signal_session(child, signal.SIGKILL)  # what it left behind
                return os.waitstatus_to_exitcode(status)
            continue
        if got is not None and got.si_signo == signal.SIGQUIT:
            to_send = [signal.SIGKILL]
        elif got is not None and not to_send:
            to_send = list(front.delete_signals)
        elif got is None and not to_send:
            _note_limit(cluster, job.key)
            to_send = list(front.limit_signals)
        elif got is not None:
            continue  # deleted again
        processes.signal_session(child, to_send.pop(0))
        processes.signal_session(child, signal.SIGCONT)  # one that is suspended would not notice
        due = time.monotonic() + delay if to_send else None


def _next_signal(due: float | None) -> signal.struct_siginfo | None:
    """Wait for a signal; None once the time is there, if there is one."""
    if due is None:
        return signal.sigwaitinfo(WATCHED)
    return signal.sigtimedwait(WATCHED, max(0.0, due - time.monotonic()))


def _note_limit(cluster: Cluster, key: str) -> None:
    with cluster:
        job = cluster.jobs[key]
        job.cause = job.cause or "limit"
        cluster.save(job)
