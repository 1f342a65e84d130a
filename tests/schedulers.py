"""Real schedulers, each with four nodes on this machine, for tests; what they are made of: `clusters/README.md`."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from readiness import is_readable

RUN = Path(__file__).parent / "clusters" / "run.sh"
DEADLINE = 90.0
LEAVES = 10.0  # seconds that a job has to leave the queue after its end
_OTHERS = ("SLURM_", "SBATCH_", "SALLOC_", "SGE_", "PBS_", "LSB_", "COBALT_", "FLUX_")


class Cluster(ABC):
    """A scheduler that runs.

    Attributes:
        directory: where everything of it is; its logs are in `log`.
        variables: of the environment, by which programs find it.
        nodes: the names of the hosts where jobs run, which resolve on this machine, too.
    """

    def __init__(self, directory: Path, process: subprocess.Popen[bytes], variables: Mapping[str, str]) -> None:
        self.directory = directory
        self.variables = variables
        self._process = process
        self._expect("ready")
        hosts = (directory / "etc" / "hosts").read_text().split()
        self.nodes: Sequence[str] = [name for name in hosts if "-node" in name]

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a process that is to find it, and no other scheduler."""
        own = {name: value for name, value in os.environ.items() if not name.startswith(_OTHERS)}
        return {**own, **self.variables}

    def run(self, *command: str, deadline: float = DEADLINE) -> subprocess.CompletedProcess[str]:
        """Return how a command ends that finds this cluster."""
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=deadline, check=False
        )

    def ask(self, *command: str) -> str:
        """Return what a command writes, which has to succeed."""
        result = self.run(*command)
        assert result.returncode == 0, f"{command}: {result.returncode}\n{result.stdout}{result.stderr}"
        return result.stdout

    @contextlib.contextmanager
    def controller_stopped(self) -> Iterator[None]:
        """Have no controller for a while; then it goes on with the jobs that it knew."""
        with self._while("stop_controller", "start_controller"):
            yield

    @contextlib.contextmanager
    def controller_paused(self) -> Iterator[None]:
        """Have a controller that takes connections and never answers, for a while."""
        with self._while("pause_controller", "continue_controller"):
            yield

    @abstractmethod
    def jobs(self) -> set[str]:
        """Return the ids of all jobs that wait or run."""

    @abstractmethod
    def cancel(self, job: str) -> None:
        """Cancel a job."""

    @contextlib.contextmanager
    def _while(self, begin: str, end: str) -> Iterator[None]:
        self._tell(begin)
        try:
            yield
        finally:
            self._tell(end)

    def _tell(self, command: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(f"{command}\n".encode())
        self._expect("done")

    def _expect(self, answer: str) -> None:
        assert self._process.stdout
        ready = is_readable(self._process.stdout, DEADLINE)
        line = self._process.stdout.readline().decode().strip() if ready else "nothing in time"
        errors = (self.directory / "errors").read_text(errors="replace")
        assert line == answer, f"the cluster in {self.directory} said {line!r} instead of {answer!r}\n{errors}"


class Slurm(Cluster):
    """Slurm with accounting; 4 CPUs, 2000 MB and 2 GPUs a node."""

    def __init__(self, directory: Path, process: subprocess.Popen[bytes]) -> None:
        super().__init__(directory, process, {"SLURM_CONF": str(directory / "etc" / "slurm.conf")})

    def jobs(self) -> set[str]:
        """Return the ids of all jobs that wait or run; each of an array counts."""
        return set(self.ask("squeue", "--noheader", "--array", "--format=%i", "--states=PD,CF,R,S").split())

    def cancel(self, job: str) -> None:
        """Cancel a job."""
        self.ask("scancel", "--quiet", job)

    def accounting(self, job: str, field: str) -> str:
        """Return what is recorded of a job that has come to its end, or soon will.

        Args:
            job: its id.
            field: as `sacct` calls it, such as `ExitCode`.
        """
        columns = f"--format=End,{field}"
        deadline = time.monotonic() + DEADLINE
        while True:
            lines = self.ask("sacct", "--allocations", "--noheader", "--parsable2", columns, f"--jobs={job}").split()
            end, _, value = (lines or ["Unknown"])[0].partition("|")
            if end != "Unknown":
                return value
            assert time.monotonic() < deadline, f"job {job} has not ended"
            time.sleep(0.1)

    @contextlib.contextmanager
    def node_down(self, node: str) -> Iterator[None]:
        """Have a node down for a while: what runs there is lost."""
        self._update(node, "down")
        try:
            yield
        finally:
            self._update(node, "resume")
            deadline = time.monotonic() + DEADLINE
            while "idle" not in self.ask("sinfo", "--noheader", f"--nodes={node}", "--format=%T").split():
                assert time.monotonic() < deadline, f"{node} does not come back"
                time.sleep(0.1)

    def _update(self, node: str, state: str) -> None:
        self.ask("scontrol", "update", f"nodename={node}", f"state={state}", "reason=test")


class GridEngine(Cluster):
    """Grid Engine; 4 slots a node, one queue, the parallel environments `smp`, `mpi`, `mpifill` and `orte`."""

    def __init__(self, directory: Path, process: subprocess.Popen[bytes]) -> None:
        ports = {"SGE_QMASTER_PORT": "6444", "SGE_EXECD_PORT": "6445"}
        super().__init__(directory, process, {"SGE_ROOT": str(directory), "SGE_CELL": "default", **ports})

    def jobs(self) -> set[str]:
        """Return the ids of all jobs that wait or run."""
        return {line.split()[0] for line in self.ask("qstat", "-u", "*").splitlines()[2:]}

    def exit_status(self, job: str) -> int:
        """Return the exit code of a job that has come to its end, or soon will.

        Tasks of a parallel job have records before it ends, too, and `qacct` does not tell which those are.
        """
        file = self.directory / "default" / "common" / "accounting"
        deadline = time.monotonic() + DEADLINE
        while True:
            records = [line.split(":") for line in (file.read_text().splitlines() if file.exists() else ())]
            for record in records:  # see accounting(5)
                if len(record) > 41 and record[5] == job and record[41] == "NONE":
                    return int(record[12])
            assert time.monotonic() < deadline, f"job {job} has not ended"
            time.sleep(0.1)

    def cancel(self, job: str) -> None:
        """Cancel a job, and forget it even where its node does not answer."""
        self.ask("qdel", "-f", job)


@contextlib.contextmanager
def running_process(kind: str, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a cluster for as long as the context lasts; when this process dies within, the cluster ends likewise.

    Args:
        kind: `slurm` or `sge`.
        directory: where everything of it is.
    """
    with (directory / "errors").open("wb") as errors:
        process = subprocess.Popen(
            [str(RUN), kind, str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            bufsize=0,
            start_new_session=True,  # Ctrl-C is for the tests, which then end it
        )
    assert process.stdin
    assert process.stdout
    try:
        yield process
    finally:
        process.stdin.close()
        try:
            process.wait(DEADLINE)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
            process.stdout.close()


@pytest.fixture(scope="session")
def slurm_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    """The Slurm of this session; it starts in some four seconds when the first test asks for it."""
    directory = tmp_path_factory.mktemp("slurm")
    with running_process("slurm", directory) as process:
        yield Slurm(directory, process)


@pytest.fixture(scope="session")
def sge_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GridEngine]:
    """The Grid Engine of this session, likewise in two seconds."""
    directory = tmp_path_factory.mktemp("sge")
    with running_process("sge", directory) as process:
        yield GridEngine(directory, process)


@pytest.fixture
def slurm(slurm_cluster: Slurm, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slurm]:
    """The Slurm that this process and those that it starts find; the test fails if it leaves a job behind."""
    with _found(slurm_cluster, monkeypatch):
        yield slurm_cluster


@pytest.fixture
def sge(sge_cluster: GridEngine, monkeypatch: pytest.MonkeyPatch) -> Iterator[GridEngine]:
    """The Grid Engine that this process finds, likewise."""
    with _found(sge_cluster, monkeypatch):
        yield sge_cluster


@contextlib.contextmanager
def _found(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in os.environ.keys() - cluster.environment.keys():
        monkeypatch.delenv(name)
    for name, value in cluster.variables.items():
        monkeypatch.setenv(name, value)
    before = cluster.jobs()
    yield
    # A scheduler may hear of the end of a job later than who reads the files of its script.
    deadline = time.monotonic() + LEAVES
    while (left := cluster.jobs() - before) and time.monotonic() < deadline:
        time.sleep(0.1)
    for job in left:
        cluster.cancel(job)
    assert not left, f"jobs that the test has left behind: {left}"
