"""Schedulers on one machine, with the command-line programs of the real ones: jobs wait, run for real, and end.

A cluster is a directory. Every job, and every element of a job array, is a file in it (`Job`); whoever looks at jobs
or changes them holds the cluster's lock (``with cluster:``). There is no server: on the way out each holder starts the
jobs that now fit, and each job has a process of its own that runs it to its end (`runner`). So a cluster that is hung
is one whose lock somebody keeps, and one that is away says so and starts nothing; what runs goes on running.

The core knows nodes with CPUs, jobs that ask for chunks of them, states, time limits, signals and ends. All that makes
it look like PBS or LSF is a front, a module of this package with an object ``FRONT`` (see `Front`):

* `programs`: what is put on the PATH. `run` is such a program: it reads its command line, submits (`Cluster.submit`),
  shows (`Cluster.jobs`), deletes (`Cluster.delete`) or signals (`Cluster.signal`) jobs within ``with cluster:``, writes
  what the real one writes, and returns its exit code. What only the front knows of a job goes into `Job.extra`.
* `environment`: the whole environment of a job that starts, its files (a host file) written.
* `ended`: what happens with a job that ended: its output is brought home, a log is written, it is forgotten
  (`Cluster.forget`) where the real one forgets it.
* `unreachable`: what a program says while the cluster is away, and its exit code.
* `delete_signals` and `limit_signals`: what is sent, one after the other and `kill_delay` seconds apart, to a job that
  is deleted or over its time limit.

A program that waits for a job, as ``bsub -K`` does, looks again and again, with the lock released between. `site` is
how tests start a cluster.
"""

from __future__ import annotations

import dataclasses
import fcntl
import importlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import IO, Any, Protocol, cast

from clusters.lookalikes import processes

MARKER = "SMARTSIM_LOOKALIKE"
"""A variable of every job, with its cluster's directory: what a job left running is found by it."""

WATCHED = {signal.SIGCHLD, signal.SIGTERM, signal.SIGQUIT}
"""What a runner waits for: its job's end, and the wish to end it politely or by force."""


class State(StrEnum):
    """Where a job stands."""

    HELD = "held"
    QUEUED = "queued"
    RUNNING = "running"
    SUSPENDED = "suspended"
    EXITING = "exiting"  # its processes are over, its output is not home yet
    ENDED = "ended"


@dataclass
class Chunk:
    """CPUs on one node.

    Args:
        cpus: how many; 0 for all of an otherwise empty node.
        host: the only node that will do; empty for any.
    """

    cpus: int
    host: str = ""


@dataclass
class Job:
    """A job, or an element of a job array.

    Args:
        number: of the job; all elements have the same.
        index: of the element; None without an array.
        name: for people.
        queue: where it was submitted to.
        argv: what is run.
        directory: where.
        environment: what the front's `environment` starts from.
        stdout: the file that takes standard output, appended to; so `stderr`.
        chunks: what it needs.
        scatter: whether each chunk is to be on another node.
        limit: seconds that it may run; None without a limit.
        owner: who submitted it.
        extra: what only the front knows.
        state: where it stands.
        nodes: those of its chunks.
        submitted: seconds since the epoch; so `started` and `ended`.
        returncode: as `subprocess` has it; None while it is not known.
        cause: why it is being ended: "limit" or "deleted"; empty when it ends by itself.
        deleted_by: who deleted it.
        runner: the process that runs it.
        session: of its own processes; 0 before there are any.
    """

    number: int
    index: int | None
    name: str
    queue: str
    argv: list[str]
    directory: str
    environment: dict[str, str]
    stdout: str
    stderr: str
    chunks: list[Chunk]
    scatter: bool = False
    limit: float | None = None
    owner: str = "root"
    extra: dict[str, Any] = field(default_factory=dict)
    state: State = State.QUEUED
    nodes: list[str] = field(default_factory=list)
    submitted: float = 0.0
    started: float = 0.0
    ended: float = 0.0
    returncode: int | None = None
    cause: str = ""
    deleted_by: str = ""
    runner: int = 0
    session: int = 0

    @property
    def key(self) -> str:
        """What it is filed under."""
        return str(self.number) if self.index is None else f"{self.number}.{self.index}"

    @property
    def runs(self) -> bool:
        """Whether its processes run."""
        return self.state in (State.RUNNING, State.SUSPENDED)

    @property
    def is_over(self) -> bool:
        """Whether it ended, its output home."""
        return self.state is State.ENDED


@dataclass
class Queue:
    """What a queue lets in.

    Args:
        limit: the longest time limit, seconds; None for any.
        nodes: the most chunks; None for any.
    """

    limit: float | None = None
    nodes: int | None = None


@dataclass
class Config:
    """A cluster as the site set it up.

    Args:
        front: the module of this package that it looks like.
        nodes: CPUs by name.
        queues: by name; the first is the default one.
        accounts: those that may be charged; none for any.
        kill_delay: seconds between the signals that end a job.
        epilogue: seconds for which a job is exiting.
        minute: seconds of a minute where time limits are in minutes: a test has no time for real ones.
        history: whether jobs that ended are remembered.
    """

    front: str
    nodes: dict[str, int]
    queues: dict[str, Queue]
    accounts: list[str] = field(default_factory=list)
    kill_delay: float = 10.0
    epilogue: float = 0.0
    minute: float = 60.0
    history: bool = True


class Front(Protocol):
    """What a scheduler looks like."""

    programs: Sequence[str]
    delete_signals: Sequence[signal.Signals]
    limit_signals: Sequence[signal.Signals]

    def run(self, cluster: Cluster, program: str, argv: Sequence[str]) -> int:
        """Do what a program does with a command line, and return its exit code."""
        ...

    def unreachable(self, program: str) -> int:
        """Say that the scheduler does not answer, and return the program's exit code."""
        ...

    def environment(self, cluster: Cluster, job: Job) -> Mapping[str, str]:
        """Return the environment of a job that starts."""
        ...

    def ended(self, cluster: Cluster, job: Job) -> None:
        """Do what remains to be done for a job that ended; the lock is held."""
        ...


class Cluster:
    """The jobs of a cluster, for one process at a time: what follows is for use within ``with cluster:``.

    Args:
        directory: where it is; absolute.
        starts: whether leaving starts what fits.
    """

    def __init__(self, directory: str, *, starts: bool = True) -> None:
        self.directory = directory
        with open(self.path("config.json"), encoding="utf-8") as stream:
            record = json.load(stream)
        queues = {name: Queue(**queue) for name, queue in record.pop("queues").items()}
        self.config = Config(queues=queues, **record)
        self.jobs: dict[str, Job] = {}
        self._starts = starts
        self._lock: IO[str] | None = None

    @property
    def front(self) -> Front:
        """What it looks like."""
        return cast("Front", importlib.import_module(f"clusters.lookalikes.{self.config.front}").FRONT)

    @property
    def is_away(self) -> bool:
        """Whether its programs find nobody."""
        return os.path.exists(self.path("away"))

    def path(self, *names: str) -> str:
        """Return the path of a file of the cluster."""
        return os.path.join(self.directory, *names)

    def __enter__(self) -> None:
        lock = open(self.path("lock"), "w", encoding="utf-8")
        fcntl.flock(lock, fcntl.LOCK_EX)
        self._lock = lock
        self.jobs = {}
        for name in os.listdir(self.path("jobs")):
            if name.endswith(".json"):
                with open(self.path("jobs", name), encoding="utf-8") as stream:
                    job = _read(json.load(stream))
                self.jobs[job.key] = job
        self.jobs = dict(sorted(self.jobs.items(), key=lambda item: (item[1].number, item[1].index or 0)))

    def __exit__(self, kind: object, *_: object) -> None:
        assert self._lock is not None
        try:
            if kind is None and self._starts and not (self.is_away or os.path.exists(self.path("closed"))):
                self._start_what_fits()
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)
            self._lock.close()

    def save(self, job: Job) -> None:
        """Write a job down."""
        path = self.path("jobs", f"{job.key}.json")
        with open(f"{path}.new", "w", encoding="utf-8") as stream:
            json.dump(dataclasses.asdict(job), stream)
        os.replace(f"{path}.new", path)
        self.jobs[job.key] = job

    def forget(self, job: Job) -> None:
        """Remember a job no more."""
        os.unlink(self.path("jobs", f"{job.key}.json"))
        del self.jobs[job.key]

    def next_number(self) -> int:
        """Return the number of the next job. A submission that is refused later has used it up."""
        path = self.path("next")
        with open(path, encoding="utf-8") as stream:
            number = int(stream.read())
        with open(f"{path}.new", "w", encoding="utf-8") as stream:
            stream.write(str(number + 1))
        os.replace(f"{path}.new", path)
        return number

    def submit(self, jobs: Iterable[Job]) -> None:
        """Take jobs in."""
        for job in jobs:
            job.submitted = time.time()
            self.save(job)

    def delete(self, job: Job, by: str, *, force: bool = False) -> None:
        """End a job: what waits at once, what runs by signals, or by SIGKILL when forced."""
        job.cause = job.cause or "deleted"
        job.deleted_by = by
        if job.state in (State.HELD, State.QUEUED):
            self.end(job)
            return
        if job.runs:
            os.kill(job.runner, signal.SIGQUIT if force else signal.SIGTERM)
        self.save(job)

    def end(self, job: Job) -> None:
        """Note that a job ended."""
        job.state, job.ended = State.ENDED, time.time()
        self.save(job)
        self.front.ended(self, job)

    def signal(self, job: Job, number: signal.Signals) -> None:
        """Send a signal to the processes of a job that runs; SIGSTOP suspends it, SIGCONT resumes it."""
        processes.signal_session(job.session, number)
        if number in (signal.SIGSTOP, signal.SIGCONT):
            job.state = State.SUSPENDED if number == signal.SIGSTOP else State.RUNNING
            self.save(job)

    def can_ever_run(self, job: Job) -> bool:
        """Return whether a job would fit if nothing else ran."""
        return self._fit(job, self.config.nodes) is not None

    def free(self) -> dict[str, int]:
        """Return the CPUs that nothing uses, by node."""
        free = dict(self.config.nodes)
        for job in self.jobs.values():
            if job.runs or job.state is State.EXITING:
                for chunk, node in zip(job.chunks, job.nodes, strict=True):
                    free[node] -= chunk.cpus or self.config.nodes[node]
        return free

    def _fit(self, job: Job, free: Mapping[str, int]) -> list[str] | None:
        left, chosen = dict(free), list[str]()
        for chunk in job.chunks:
            for node, cpus in left.items():
                needed = chunk.cpus or self.config.nodes[node]
                if cpus >= needed and chunk.host in ("", node) and not (job.scatter and node in chosen):
                    left[node] -= needed
                    chosen.append(node)
                    break
            else:
                return None
        return chosen

    def _start_what_fits(self) -> None:
        free = self.free()
        for job in [job for job in self.jobs.values() if job.state is State.QUEUED]:
            nodes = self._fit(job, free)
            if nodes is not None:
                job.state, job.nodes, job.started = State.RUNNING, nodes, time.time()
                job.runner = self._fork_runner(job.key)
                self.save(job)
                free = self.free()

    def _fork_runner(self, key: str) -> int:
        """Start the process that runs a job. All of them together keep a lock, which tells when the last one ended."""
        from clusters.lookalikes import runner

        mask = signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
        with open(self.path("alive"), "w", encoding="utf-8") as alive:
            fcntl.flock(alive, fcntl.LOCK_SH)
            pid = os.fork()
            if not pid:
                assert self._lock is not None
                os.close(self._lock.fileno())  # the lock itself stays with the parent
                os.set_inheritable(alive.fileno(), False)
                runner.become(self.directory, key)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        return pid


def _read(record: dict[str, Any]) -> Job:
    chunks = [Chunk(**chunk) for chunk in record.pop("chunks")]
    return Job(chunks=chunks, state=State(record.pop("state")), **record)


def main(directory: str, program: str, argv: Sequence[str]) -> int:
    """Run a program of a cluster's front."""
    cluster = Cluster(directory)
    if cluster.is_away:
        return cluster.front.unreachable(program)
    code = cluster.front.run(cluster, program, argv)
    sys.stdout.flush()
    return code
