"""What a running driver may be asked from outside: to stop what it started, and to start it again.

A request has an ``action`` and the name of an ``entity``: a model, a member, an ensemble or a database. ``find`` is
answered with ``submitted_at``, when the driver started it last (null: never). ``stop`` and ``restart`` also have
``by``, who asks, in words; they are answered with ``done``, what was done, or ``error``, why not, in words.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from smartsim.app.launching import Manifest
from smartsim.app.logs import get_logger
from smartsim.app.orchestrator import Orchestrator
from smartsim.domain.errors import SmartSimError

if TYPE_CHECKING:
    from smartsim.app.ensemble import Ensemble
    from smartsim.app.jobs import Job, Jobs
    from smartsim.ports.control_channel import Answer, ControlChannel, Listener, Message

Action: TypeAlias = Literal["find", "stop", "restart"]
_LONGEST_NAME: Final = 200  # characters that are kept of who asks
_LONGEST_ERROR: Final = 4000  # characters that are told of an error


class Control:
    """Answers requests about the entities of one experiment. May be used from several threads.

    Args:
        directory: of the experiment.
        channel: brings the requests.
        jobs: of the experiment.
        stop: ends jobs, some of them all of a database, and waits for that; given who wants it, in words.
        start: starts entities; given whether a Ctrl-C ends them.
    """

    def __init__(
        self,
        directory: str,
        channel: ControlChannel,
        jobs: Jobs,
        stop: Callable[[Sequence[Job], str], None],
        start: Callable[[Manifest, bool], None],
    ) -> None:
        self._directory = directory
        self._channel = channel
        self._jobs = jobs
        self._stop_jobs = stop
        self._start = start
        self._ensembles: dict[str, Ensemble] = {}
        self._listener: Listener | None = None
        self._failed = False

    def attend(self, manifest: Manifest) -> None:
        """Listen from now on for requests about what is about to be started; called by one thread at a time."""
        self._ensembles |= {ensemble.name: ensemble for ensemble in manifest.ensembles}
        if self._listener is not None or self._failed:
            return
        try:
            listener = self._channel.listen(self._directory, _weak(weakref.WeakMethod(self.answer)))
        except (OSError, RuntimeError) as error:  # such as: a file system without sockets; no more threads
            self._failed = True
            get_logger(__name__).debug(f"Nobody can ask this driver to stop or restart anything: {error}")
            return
        self._listener = listener
        weakref.finalize(self, listener.close)  # at the end of the experiment, or of the driver

    def close(self) -> None:
        """Listen no longer."""
        if self._listener is not None:
            self._listener.close()

    def answer(self, request: Message) -> Message:
        """Do what is asked for, and return what became of it."""
        try:
            match request:
                case {"action": "find", "entity": str(name)}:
                    return {"submitted_at": max((job.state.submitted_at for job in self._named(name)), default=None)}
                case {"action": "stop", "entity": str(name), "by": str(by)}:
                    return {"done": self._stop(name, _cleaned(by))}
                case {"action": "restart", "entity": str(name), "by": str(by)}:
                    return {"done": self._restart(name, _cleaned(by))}
        except Exception as error:  # noqa: BLE001 - whoever asked is told
            return {"error": (str(error) or repr(error))[:_LONGEST_ERROR]}
        return {"error": "The driver does not know such a request: it has another version of smartsim-next"}

    def _named(self, name: str) -> list[Job]:
        """Return the latest jobs of an entity; none when it was not started."""
        job = self._jobs.latest(name)
        if job is not None and not isinstance(job.owner, Orchestrator):
            return [job]
        found = [job for job in self._jobs.started() if name in (job.ensemble, _database(job))]
        if job is not None and not found:
            if len(self._of(job.owner)) > 1:
                raise SmartSimError(f"{name} is one of the servers of {_database(job)}, which end and begin together")
            found = [job]
        return found

    def _of(self, owner: object) -> list[Job]:
        return [job for job in self._jobs.started() if job.owner is owner]

    def _stop(self, name: str, by: str) -> str:
        jobs = self._started(name)
        active = [job for job in jobs if not job.state.is_final]
        if not active:
            raise SmartSimError(f"{name} has ended already: {', '.join(sorted({j.state.status.value for j in jobs}))}")
        get_logger(__name__).info(f"{by} wants {name} to end")
        self._stop_jobs(active, by)
        return f"{name} was stopped" if len(active) == 1 else f"{name} was stopped, {len(active)} jobs"

    def _restart(self, name: str, by: str) -> str:
        jobs = self._started(name)
        running = next((job for job in jobs if not job.state.is_final), None)
        if running is not None:
            raise SmartSimError(f"{running} has not ended ({running.state.status.value}): stop it first")
        get_logger(__name__).info(f"{by} wants {name} to be started again")
        self._start(self._manifest(name, jobs), all(job.kill_on_interrupt for job in jobs))
        return f"{name} was started again"

    def _started(self, name: str) -> list[Job]:
        jobs = self._named(name)
        if not jobs:
            raise SmartSimError(f"{name} was not started by this driver")
        return jobs

    def _manifest(self, name: str, jobs: Sequence[Job]) -> Manifest:
        owner = jobs[0].owner
        ensemble = self._ensembles.get(jobs[0].ensemble)
        if ensemble is None:
            return Manifest.of([owner])
        if jobs[0].entity != name:
            return Manifest.of([ensemble])
        # A member alone is started as it was with the others: in a batch job like theirs, and recorded as one of them.
        part = copy.copy(ensemble)
        part.entities = [member for member in ensemble.models if member is owner]
        return Manifest.of([part if part.entities else owner])


def _cleaned(by: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in by[:_LONGEST_NAME]) or "somebody"


def _database(job: Job) -> str | None:
    return job.owner.name if isinstance(job.owner, Orchestrator) else None


def _weak(reference: weakref.WeakMethod[Answer]) -> Answer:
    """Return a function that answers as long as its object lives, and does not keep it."""

    def answer(request: Message) -> Message:
        method = reference()
        return {"error": "The experiment has ended"} if method is None else method(request)

    return answer
