"""A look-alike cluster for a test.

::

    with lookalike("pbs", tmp_path / "cluster", nodes={"pbsnode1": 4, "pbsnode2": 4}) as site:
        monkeypatch.setenv("PATH", f"{site.bin}:{os.environ['PATH']}")
        ...  # qsub, qstat and qdel are those of the cluster
        with site.away():  # nobody answers
            ...
        with site.hung():  # programs wait for an answer
            ...
        site.purge()  # the cluster forgets what ended
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clusters.lookalikes import processes
from clusters.lookalikes.cluster import MARKER, Cluster, Config, Job, Queue, State

DEADLINE = 30.0
_TESTS = Path(__file__).parents[2]
_PROGRAM = """\
#!{python} -IS
import sys
sys.path.insert(0, {tests!r})
from clusters.lookalikes.{module} import main
sys.exit(main({arguments}sys.argv[1:]))
"""


class Site:
    """A cluster that runs.

    Args:
        directory: where it is.

    Attributes:
        bin: the directory with its programs.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.bin = directory / "bin"

    def run(self, *argv: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run one of its programs, as a person does beside the driver."""
        program = [str(self.bin / argv[0]), *argv[1:]]
        return subprocess.run(program, input=stdin, capture_output=True, text=True, timeout=DEADLINE, check=False)

    def jobs(self) -> list[Job]:
        """Return all jobs that it remembers."""
        cluster = Cluster(str(self.directory), starts=False)
        with cluster:
            return list(cluster.jobs.values())

    def wait_for(self, condition: Callable[[list[Job]], bool]) -> list[Job]:
        """Wait until something holds for the jobs, and return them."""
        deadline = time.monotonic() + DEADLINE
        while not condition(jobs := self.jobs()):
            assert time.monotonic() < deadline, f"this did not come about: {jobs}"
            threading.Event().wait(0.02)
        return jobs

    def purge(self) -> None:
        """Have it forget the jobs that ended."""
        for job in self.jobs():
            if job.is_over:
                self.forget(job)

    def forget(self, job: Job) -> None:
        """Have it forget a job."""
        cluster = Cluster(str(self.directory), starts=False)
        with cluster:
            cluster.forget(job)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Have its programs find nobody; jobs that run go on, others do not start."""
        flag = self.directory / "away"
        flag.touch()
        try:
            yield
        finally:
            flag.unlink()
            subprocess.run([self.directory / "wake"], timeout=DEADLINE, check=True)

    @contextmanager
    def hung(self) -> Iterator[None]:
        """Have its programs wait for an answer."""
        with (self.directory / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def close(self) -> None:
        """End everything that it runs."""
        (self.directory / "closed").touch()
        for job in self.jobs():
            if job.runs or job.state is State.EXITING:
                os.kill(job.runner, signal.SIGQUIT)
        _wait(self._no_runner, "a job's runner did not end")
        _wait(self._no_process, "a job's process did not end")
        log = self.directory / "runner.log"
        assert not log.exists() or not log.read_text(), log.read_text()

    def _no_runner(self) -> bool:
        with (self.directory / "alive").open("w") as alive:
            try:
                fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True

    def _no_process(self) -> bool:
        left = processes.marked(MARKER, str(self.directory))
        for pid in left:
            processes.kill(pid)
        return not left


@contextmanager
def lookalike(
    front: str, directory: Path, nodes: Mapping[str, int], *, ranks: Sequence[str] = (), **config: Any
) -> Iterator[Site]:
    """Run a cluster.

    Args:
        front: what it looks like: a module of this package.
        directory: to be made; absolute.
        nodes: CPUs by name.
        ranks: programs that start ranks, to be put beside the others: "mpiexec" (PALS), "aprun".
        **config: see `Config`; `queues` by name.
    """
    queues = config.pop("queues", {"workq": Queue()})
    for name in ("bin", "home", "jobs", "spool"):
        (directory / name).mkdir(parents=True, mode=0o700)
    record = dataclasses.asdict(Config(front, dict(nodes), queues, **config))
    (directory / "config.json").write_text(json.dumps(record))
    (directory / "next").write_text("1")
    for program in Cluster(str(directory)).front.programs:
        _write_program(directory / "bin" / program, "cluster", f"{str(directory)!r}, {program!r}, ")
    for program in ranks:
        _write_program(directory / "bin" / program, "ranks", f"{program!r}, ")
    _write_program(directory / "wake", "wake", f"{str(directory)!r}, ")
    site = Site(directory)
    try:
        yield site
    finally:
        site.close()


def _write_program(path: Path, module: str, arguments: str) -> None:
    path.write_text(_PROGRAM.format(python=sys.executable, tests=str(_TESTS), module=module, arguments=arguments))
    path.chmod(0o700)


def _wait(condition: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, otherwise
        threading.Event().wait(0.01)
