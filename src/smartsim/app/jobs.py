"""The jobs of one experiment: what was started, where each stands, and who waits for it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from smartsim.app.logs import get_logger
from smartsim.app.recording import Recorder, submission
from smartsim.domain import record
from smartsim.domain.errors import IllegalTransitionError, SSUnsupportedError
from smartsim.domain.lifecycle import Announce, Ended, JobState, Note, SendStop, StopRequested, advance
from smartsim.domain.steps import together

if TYPE_CHECKING:
    from smartsim.domain.lifecycle import Effect, JobEvent
    from smartsim.domain.status import SmartSimStatus
    from smartsim.domain.steps import Step
    from smartsim.ports.clock import Clock
    from smartsim.ports.workload_manager import WorkloadManager

GRACE = 5.0  # seconds between asking a job to end and forcing it
_FORCED = 60.0  # seconds after which a job that was forced to end is given up on; schedulers have times of their own


@dataclass(eq=False)
class Job:
    """One run of one entity.

    Args:
        entity: its name; unique within the experiment.
        entity_type: "Model" or "DBNode".
        owner: the object that the name belongs to.
        step: what is started.
        run: counts the runs of the entity, from 0.
        kill_on_interrupt: whether a Ctrl-C at the driver ends it.
        colocated: the directory in which nodes tell of its colocated database; None without one.
        run_id: of the call of `start` that it belongs to; empty for what an earlier driver started.
        ensemble: that the entity is a member of; empty without one.
        state: where it stands.
    """

    entity: str
    entity_type: str
    owner: object
    step: Step
    run: int
    kill_on_interrupt: bool
    colocated: str | None = None
    run_id: str = ""
    ensemble: str = ""
    state: JobState = field(init=False)

    @property
    def is_database(self) -> bool:
        """Whether the job serves others, so that nobody waits for its end."""
        return self.entity_type == "DBNode"

    def __str__(self) -> str:
        return self.entity if self.state.native_id is None else f"{self.entity}({self.state.native_id})"


class Jobs:
    """Starts, follows and stops jobs. May be used from several threads.

    Args:
        manager: runs the steps.
        clock: tells the time, and waits.
        recorder: takes what happens.
        announce: is told of each job that ended, in the thread that learnt of it.
    """

    def __init__(
        self,
        manager: WorkloadManager,
        clock: Clock,
        recorder: Recorder,
        announce: Callable[[Job], None],
    ) -> None:
        self._manager = manager
        self._clock = clock
        self._recorder = recorder
        self._announce = announce
        self._changed = threading.Condition()
        self._by_step: dict[str, Job] = {}
        self._latest: dict[str, Job] = {}
        self._finished: list[Job] = []
        self._active_applications = 0
        self._announcing = 0  # jobs that have ended, of which not everybody has been told

    def submit(self, jobs: Sequence[Job]) -> None:
        """Start jobs, in order. Those that are stopped before their turn has come are not started, and have ended.

        Raises:
            SSUnsupportedError: a name is taken; nothing was started.
            SmartSimError: one could not be started; those before it were, those after it were not tried.
        """
        self._register(jobs)
        try:
            self._recorder.add([submission(job, self._recorder) for job in jobs])
            by_step = {job.step.name: job for job in jobs}
            for steps in together([job.step for job in jobs]):
                group = [by_step[step.name] for step in steps]
                with self._recorder.burst():
                    self._submit(group)
                if any(job.state.error is not None for job in group):
                    break
        finally:
            self._forget([job for job in jobs if job.state.native_id is None and not job.state.is_final])
        refused = next((job.state.error for job in jobs if job.state.error is not None), None)
        if refused is not None:
            raise refused

    def _submit(self, jobs: Sequence[Job]) -> None:
        """Start those jobs, of some that start together, which nobody has stopped meanwhile."""
        now = self._clock.now()
        for job in (stopped := [job for job in jobs if job.state.stopped_by is not None]):
            self._report(job.step.name, Ended(now, None))
        if len(stopped) < len(jobs):
            self._manager.submit([job.step for job in jobs if job not in stopped], self._report)

    def attach(self, job: Job, handle: dict[str, object]) -> bool:
        """Follow a job that an earlier driver started; False when it does not run any more."""
        self._register([job])
        self._recorder.add([submission(job, self._recorder, record.TakenOver)])
        if self._manager.attach(job.step, handle, self._report):
            return True
        self._forget([job])
        return False

    def refuse_taken(self, entity: str, owner: object) -> None:
        """Do nothing when an entity may be started.

        Raises:
            SSUnsupportedError: it is running, or another one of its name was started before.
        """
        latest = self._latest.get(entity)
        if latest is None:
            return
        if latest.owner is not owner:
            raise SSUnsupportedError(
                "SmartSim entities cannot have duplicate names. "
                f"Another {entity!r} was started in this experiment before"
            )
        if not latest.state.is_final:
            raise SSUnsupportedError(
                f"SmartSim entities cannot have duplicate names. {entity!r} is running: stop it, or wait for it, first"
            )

    def latest(self, entity: str) -> Job | None:
        """Return the latest run of an entity, None when it never ran."""
        return self._latest.get(entity)

    def started(self) -> list[Job]:
        """Return the latest run of each entity, in the order of their first ones."""
        with self._changed:
            return list(self._latest.values())

    def next_run(self, entity: str) -> int:
        """Return the number of an entity's next run."""
        job = self._latest.get(entity)
        return 0 if job is None else job.run + 1

    def active(self) -> list[Job]:
        """Return the jobs that have not ended, in the order of their start."""
        with self._changed:
            return [job for job in self._by_step.values() if not job.state.is_final]

    def finished(self) -> list[Job]:
        """Return the jobs that ended, in the order of their end."""
        with self._changed:
            return list(self._finished)

    def count(self, jobs: Iterable[Job]) -> Counter[SmartSimStatus]:
        """Return how many of some jobs stand where."""
        return Counter(job.state.status for job in jobs)

    def expect_end(self, jobs: Collection[Job], by: str) -> None:
        """Take note that jobs are about to be ended by other means than `stop`."""
        request = StopRequested(self._clock.now(), by)
        with self._changed:
            for job in jobs:
                self._advance(job, request)

    def stop(self, jobs: Collection[Job], by: str, grace: float = GRACE) -> None:
        """Ask jobs to end; those that ended already are left alone. Returns at once."""
        self.expect_end(jobs, by)
        # A job that is not confirmed yet is stopped when it is: `advance` sees to that.
        self._manager.stop([job.step.name for job in jobs if job.state.native_id and not job.state.is_final], grace)

    def wait_ended(self, jobs: Collection[Job], timeout: float | None = None) -> bool:
        """Wait until jobs have ended; False when the time was up before."""
        left = [job for job in jobs if not job.state.is_final]

        def all_ended() -> bool:
            while left and left[-1].state.is_final:
                left.pop()
            return not left

        return self._wait(all_ended, timeout)

    def wait_idle(self, timeout: float | None = None) -> bool:
        """Wait until no job but databases is active; False when the time was up before."""
        return self._wait(lambda: self._active_applications == 0, timeout)

    def wait_stopped(self, jobs: Collection[Job], grace: float = GRACE) -> bool:
        """Wait until jobs that were asked to end have ended, by force if need be."""
        return self.wait_ended(jobs, grace + _FORCED)

    def _wait(self, predicate: Callable[[], bool], timeout: float | None) -> bool:
        with self._changed:
            # Who waits for a job is to read of its end before going on.
            holds = self._clock.wait_until(self._changed, lambda: not self._announcing and predicate(), timeout)
        self._recorder.flush()  # who waited finds in the record what it waited for
        return holds

    def handle(self, job: Job) -> dict[str, object]:
        """Return what another driver needs to follow a running job."""
        return dict(self._manager.handle(job.step.name))

    def close(self) -> None:
        """Follow the jobs no longer."""
        self._manager.close()

    def _register(self, jobs: Sequence[Job]) -> None:
        at = self._clock.now()
        with self._changed:
            for job in jobs:
                self.refuse_taken(job.entity, job.owner)
            for job in jobs:
                job.state = JobState(submitted_at=at)
                self._by_step[job.step.name] = job
                self._latest[job.entity] = job
                self._active_applications += not job.is_database

    def _report(self, step: str, event: JobEvent) -> None:
        with self._changed:
            job = self._by_step.get(step)
            if job is None:  # it ended before: the news is late
                return
            try:
                effects = self._advance(job, event)
            except IllegalTransitionError as error:
                # The thread that reports is the workload manager's: it must go on to the next event.
                get_logger(__name__).error(f"{job}: {error}")
                return
            is_over = job.state.is_final
            self._announcing += is_over
        if SendStop() in effects:
            self._manager.stop([step], GRACE)
        try:
            if Announce() in effects:
                self._announce(job)
        except Exception as error:  # noqa: BLE001 - others wait for this thread, and for the job
            get_logger(__name__).warning(f"{job} has ended, of which not all can be told: {error}")
        finally:
            if is_over:
                with self._changed:
                    self._announcing -= 1
                    self._changed.notify_all()

    def _advance(self, job: Job, event: JobEvent | StopRequested) -> tuple[Effect, ...]:
        """Let something happen to a job, and record it; called with the lock held."""
        before = job.state
        job.state, effects = advance(before, event)
        self._recorder.add([_event(job, effect.event, event.at) for effect in effects if isinstance(effect, Note)])
        if job.state.is_final and not before.is_final:
            self._active_applications -= not job.is_database
            self._finished.append(job)
            del self._by_step[job.step.name]
        return effects

    def _forget(self, jobs: Sequence[Job]) -> None:
        """Take back jobs that were registered and never tried."""
        at, driver = self._clock.now(), self._recorder.driver
        self._recorder.add([record.Withdrawn(at, job.entity, job.step.name, driver) for job in jobs])
        with self._changed:
            for job in jobs:
                del self._by_step[job.step.name]
                del self._latest[job.entity]
                self._active_applications -= not job.is_database
            for job in reversed(self._finished):
                self._latest.setdefault(job.entity, job)
            self._changed.notify_all()


def _event(job: Job, word: str, at: float) -> record.Event:
    """Return what is recorded of a change, given the word that `advance` notes."""
    state, who = job.state, (job.entity, job.step.name)
    match word:
        case "queued":
            return record.Queued(at, *who, state.native_id or "")
        case "started":
            return record.Started(at, *who, state.native_id or "", state.placement)
        case "suspended":
            return record.Suspended(at, *who)
        case "resumed":
            return record.Resumed(at, *who)
        case "stop_requested":
            return record.StopRequested(at, *who, state.stopped_by or "")
        case "refused" | "ended":
            kind = record.Refused if word == "refused" else record.Ended
            return kind(at, *who, state.status.value, state.returncode, state.reason, state.stopped_by or "")
    raise AssertionError(word)
