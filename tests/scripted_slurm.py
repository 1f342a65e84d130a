"""A Slurm that runs nothing: its jobs do in virtual time what a test has planned."""

from __future__ import annotations

import itertools
import posixpath
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from smartsim.adapters.clock.virtual import VirtualClock
from smartsim.adapters.filesystem.in_memory import InMemoryFileSystem
from smartsim.adapters.wlm import job_script
from smartsim.adapters.wlm.batch_jobs import BatchJobs
from smartsim.adapters.wlm.scheduler import Scheduler
from smartsim.adapters.wlm.slurm import Slurm
from smartsim.domain.errors import ShellError
from smartsim.domain.lifecycle import Ended, JobEvent
from smartsim.domain.steps import Batch, Step
from smartsim.ports.process_runner import Completed

DEADLINE = 30.0


class HeldClock(VirtualClock):
    """Time that does not pass before it is let go: all that a test submits first, it submits at once."""

    def __init__(self) -> None:
        super().__init__()
        self.goes = threading.Event()

    def wait_until(
        self, condition: threading.Condition, predicate: Callable[[], bool], timeout: float | None = None
    ) -> bool:
        """Let time pass, once it may, until a predicate holds."""
        condition.release()
        try:
            assert self.goes.wait(DEADLINE)
        finally:
            condition.acquire()
        return super().wait_until(condition, predicate, timeout)


@dataclass
class Job:
    """A job, whose future a plan tells.

    Args:
        id: its number.
        script: its script.
        world: where it is.
    """

    id: str
    script: str
    world: World

    @property
    def directory(self) -> str:
        """Where its members' files are."""
        beside = posixpath.dirname(self.script)  # as of an array
        return beside if beside.endswith(".d") else self.script.removesuffix(".sh") + ".d"

    def later(self, delay: float, action: Callable[[], None]) -> None:
        """Have something happen."""
        self.world.clock.call_later(delay, action)

    def shows(self, delay: float, state: str, reason: str = "None", element: str = "") -> None:
        """Have `squeue` show it in a state; an empty one hides it."""
        self.later(delay, lambda: self.world.show(self.id + element, state, reason))

    def booked(self, delay: float, state: str, code: str) -> None:
        """Have `sacct` say how it ended."""
        self.later(delay, lambda: self.world.books.update({self.id: f"{self.id}|{state}|{code}"}))

    def starts(self, delay: float, member: str) -> None:
        """Have a member start."""
        self.later(delay, lambda: self._keep(member, job_script.STARTED, "77"))

    def ends(self, delay: float, member: str, status: int, *signals: str) -> None:
        """Have a member end, after it has started at the latest."""
        self.later(delay, lambda: self._keep(member, job_script.EXIT, " ".join((str(status), *signals))))

    def runs(self, start: float, *members: str) -> None:
        """Have the job run, and members start."""
        self.shows(0.0, "PENDING", "Priority")
        self.shows(start, "RUNNING")
        for member in members:
            self.starts(start, member)

    def _keep(self, member: str, ending: str, words: str) -> None:
        path = job_script.file_of(self.directory, member, ending)
        self.world.files.write(path, f"{round(self.world.clock.now() * 1e6)} {words}\n".encode())


@dataclass
class World:
    """Slurm, a launcher that knows it, and what was reported and logged.

    Attributes:
        plan: what becomes of a job; called when it is submitted.
        refuses: what `sbatch` writes to refuse a job, by a word in its script; `...` when it does not answer.
        away: from when until when, in seconds of the clock, nothing answers.
        obeys: what happens to a job that `scancel` is called for; by default it ends at once.
    """

    plan: Callable[[Job], None] = lambda _: None
    refuses: dict[str, str] = field(default_factory=dict)
    away: tuple[float, float] = (0.0, 0.0)
    obeys: Callable[[Job, bool], None] | None = None
    clock: HeldClock = field(default_factory=HeldClock)
    files: InMemoryFileSystem = field(default_factory=lambda: InMemoryFileSystem(["/run"]))
    queue: dict[str, str] = field(default_factory=dict)
    books: dict[str, str] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    commands: list[tuple[float, Sequence[str]]] = field(default_factory=list)
    logged: list[str] = field(default_factory=list)
    reports: list[tuple[str, JobEvent]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        self._numbers = itertools.count(1)

    def manager(self, scheduler: Scheduler | None = None) -> BatchJobs:
        """Return a launcher."""
        return BatchJobs(scheduler or Slurm(), self, self.files, self.clock, self.log)

    def log(self, _: int, text: str) -> None:
        """Take what users are told."""
        self.logged.append(text)

    def batch(self, name: str, *directives: str, array: bool = False) -> Batch:
        """Return a job."""
        path = posixpath.join("/run", name)
        return Batch(
            name, ("sbatch",), directives, (), f"{path}.sh", f"{path}.d", f"{path}.out", f"{path}.err", array=array
        )

    def step(self, name: str, batch: Batch | None = None, ranks: str = "") -> Step:
        """Return a step, in a job of its own if none is given."""
        batch = batch or self.batch(f"job-of-{name}")
        return Step(name, ("solver",), (), {}, "/run", f"/run/{name}.out", f"/run/{name}.err", batch, ranks)

    # What is reported

    def report(self, name: str, event: JobEvent) -> None:
        """Take a report."""
        with self.changed:
            self.reports.append((name, event))
            self.changed.notify_all()

    def of(self, name: str) -> list[JobEvent]:
        """Return what was reported of a step."""
        return [event for reported, event in self.reports if reported == name]

    def ended(self, name: str) -> Ended:
        """Wait, in real time, for a step to end."""

        def found() -> list[Ended]:
            return [event for event in self.of(name) if isinstance(event, Ended)]

        self.clock.goes.set()
        with self.changed:
            assert self.changed.wait_for(found, DEADLINE), f"{name} did not end: {self.reports} {self.logged}"
        return found()[0]

    def count(self, program: str) -> int:
        """Return how often a program was run."""
        return sum(argv[0] == program for _, argv in self.commands)

    # What runs its programs

    def find(self, program: str) -> str | None:
        """Return where a program is."""
        return f"/usr/bin/{program}"

    def run(self, argv: Sequence[str], timeout: float) -> Completed:
        """Run one of its programs."""
        self.commands.append((self.clock.monotonic(), tuple(argv)))
        if self.away[0] <= self.clock.monotonic() < self.away[1]:
            raise ShellError(f"{argv[0]} did not end within {timeout:g} s and was killed", argv, "it may wait")
        answer: Completed = getattr(self, f"_{argv[0]}")(*argv[1:])
        return answer

    def show(self, job: str, state: str, reason: str = "None") -> None:
        """Have `squeue` show a job."""
        self.queue[job] = f"{job}|{state}|{reason}" if state else ""

    def _sbatch(self, *arguments: str) -> Completed:
        script = arguments[-1]
        text = self.files.read(script).decode()
        for word, words in self.refuses.items():
            if word in text:
                if words == "...":
                    raise ShellError("sbatch did not end within 120 s and was killed", ("sbatch",), "it may wait")
                return Completed(1, "", words)
        job = Job(str(next(self._numbers)), script, self)
        self.jobs[job.id] = job
        self.plan(job)
        return Completed(0, f"{job.id}\n", "")

    def _squeue(self, *arguments: str) -> Completed:
        asked = _listed(arguments)
        rows = [row for job, row in self.queue.items() if row and job.partition("_")[0] in asked]
        if not rows and len(asked) == 1:
            return Completed(1, "", "slurm_load_jobs error: Invalid job id specified")
        return Completed(0, "".join(f"{row}\n" for row in rows), "")

    def _sacct(self, *arguments: str) -> Completed:
        asked = _listed(arguments)
        rows = [row for job, row in self.books.items() if job.partition("_")[0] in asked]
        return Completed(0, "".join(f"{row}\n" for row in rows), "")

    def _scancel(self, *arguments: str) -> Completed:
        force = "--signal=KILL" in arguments
        for number in arguments:
            job = self.jobs.get(number.partition("_")[0])
            if job is not None and self.obeys is not None:
                self.obeys(job, force)
            elif job is not None:
                self.show(number, "CANCELLED")
                self.books[number] = f"{number}|CANCELLED by 0|0:0"
        return Completed(0, "", "")


def _listed(arguments: Sequence[str]) -> list[str]:
    option = next(word for word in arguments if word.startswith("--jobs="))
    return option.removeprefix("--jobs=").split(",")


def submitted(world: World, *names: str, together: bool = False) -> BatchJobs:
    """Submit steps, each in a job of its own or all in one, and return the launcher."""
    batch = world.batch("together") if together else None
    manager = world.manager()
    manager.submit([world.step(name, batch) for name in names], world.report)
    return manager


def runs_until(end: float, *members: str) -> Callable[[Job], None]:
    """Return the plan of a job whose members all end well at some time."""

    def plan(job: Job) -> None:
        job.runs(1.0, *members)
        for member in members:
            job.ends(end, member, 0)

    return plan


@contextmanager
def no_thread_left() -> Iterator[None]:
    """See that nobody follows jobs in the end."""
    yield
    for thread in threading.enumerate():
        if thread.name == "smartsim-slurm":
            thread.join(10.0)
            assert not thread.is_alive(), "somebody still follows jobs"
