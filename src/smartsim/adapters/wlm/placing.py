"""Steps that share an allocation: each gets nodes, CPUs and GPUs of its own, and waits until there are some."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

from smartsim.adapters.wlm.losses import Losses
from smartsim.adapters.wlm.turns import Phase, Turn, Turns
from smartsim.domain.errors import AllocationError, LauncherError
from smartsim.domain.lifecycle import Ended, JobEvent, Queued, Refused, Started
from smartsim.domain.resources import Lease, Node, Share
from smartsim.domain.settings.lease_words import needs, placed, unplaced

if TYPE_CHECKING:
    from smartsim.domain.settings.mpi import MpiFlavour
    from smartsim.domain.steps import Step
    from smartsim.ports.clock import Clock
    from smartsim.ports.file_system import FileSystem
    from smartsim.ports.workload_manager import Report, WorkloadManager

WAITING = "waiting"
"""What stands for the id of a step that waits for its turn."""

_LEASE = "lease"


class PlacingWorkloadManager:
    """Starts steps by another workload manager, each on a part of an allocation that nobody else has meanwhile.

    Steps with a `request` wait, in order, until there is room for them (`domain.placement` has the rule). Those that
    have to are reported as queued, under the id "waiting". Steps without a request are passed on at once, to run beside
    the others, and so are those of batch jobs.

    Args:
        inner: starts and stops the steps.
        nodes: of the allocation, in the scheduler's order.
        here: the name of the node that the driver runs on, which need not be one of these.
        files: takes the files that run commands read, beside the outputs of the steps.
        clock: tells the time.
        flavour: returns whose the program is that starts ranks of MPI; None when it is unknown.
        binds: whether the CPUs of the nodes are cores and not the threads of cores, so that ranks can be bound to them.
            Otherwise it is left to the nodes on which of their CPUs ranks of MPI run.
        remaining: returns the names of the nodes that the allocation still has; None where nobody can tell. It is asked
            when a step has ended badly, and nothing is placed any more on nodes that have failed.
    """

    def __init__(
        self,
        inner: WorkloadManager,
        nodes: Sequence[Node],
        here: str,
        files: FileSystem,
        clock: Clock,
        flavour: Callable[[str], MpiFlavour | None],
        *,
        binds: bool = False,
        remaining: Callable[[], Collection[str]] | None = None,
    ) -> None:
        self._inner = inner
        self._nodes = tuple(nodes)
        self._here = here
        self._files = files
        self._clock = clock
        self._flavour = flavour
        self._binds = binds
        self._flavours: dict[str, MpiFlavour | None] = {}
        self._turns = Turns(nodes)
        self._losses = None if remaining is None else Losses((node.name for node in nodes), remaining, clock)

    def submit(self, steps: Sequence[Step], report: Report) -> None:
        """Start steps, or have them wait, in order, until one cannot be started."""
        for asks, group in groupby(steps, lambda step: step.batch is None and step.request is not None):
            alike = list(group)
            if not (all(self._submit(step, report) for step in alike) if asks else self._pass_on(alike, report)):
                return

    def stop(self, names: Collection[str], grace: float) -> None:
        """Have steps end; those that wait end at once."""
        withdrawn, others = self._turns.stop(names, grace)
        if others:
            self._inner.stop(others, grace)
        for turn in withdrawn:
            turn.report(turn.name, Ended(self._clock.now(), None))
        self._start_due()

    def attach(self, step: Step, handle: Mapping[str, object], report: Report) -> bool:
        """Take over a step that an earlier driver started, with what is free of its lease."""
        lease = _read(handle.get(_LEASE))
        if lease is None:
            return self._inner.attach(step, handle, report)
        turn = Turn(step, report)
        self._turns.follow(turn, lease)
        attached = self._inner.attach(step, handle, partial(self._tell, turn))
        if attached:
            self._has_started(turn)
        else:
            self._turns.ended(turn)
            self._start_due()
        return attached

    def handle(self, name: str) -> Mapping[str, object]:
        """Return what another driver needs to attach to a step, and its lease."""
        turn = self._turns.find(name)
        if turn is None:
            return self._inner.handle(name)
        if turn.phase not in (Phase.STARTING, Phase.STARTED):
            raise LauncherError(f"Step {name} is not running: it waits for what others have of the allocation")
        return {**self._inner.handle(name), _LEASE: _write(turn.lease)}

    def close(self) -> None:
        """Follow the steps no longer. Those that wait will never start: they are reported as cancelled."""
        for turn in self._turns.close():
            self._abandon(turn)
        if self._losses is not None:
            self._losses.close()
        self._inner.close()

    def _pass_on(self, steps: Sequence[Step], report: Report) -> bool:
        """Start steps that have no lease; return whether none was refused."""
        refused = []

        def told(name: str, event: JobEvent) -> None:
            if isinstance(event, Refused):
                refused.append(name)
            report(name, event)

        self._inner.submit([step if step.batch is not None else unplaced(step) for step in steps], told)
        return not refused

    def _submit(self, step: Step, report: Report) -> bool:
        """Start a step, or have it wait; return whether it was not refused."""
        try:
            request = needs(step, self._here)
            if request is None:
                return self._pass_on([step], report)
            turn = Turn(step, report, request)
            if step.ranks == "mpirun":
                turn.flavour = self._flavour_of(step.launch[0])
            at_once = self._turns.add(turn)
        except LauncherError as error:
            report(step.name, Refused(self._clock.now(), error))
            return False
        if at_once:
            self._start(turn)
        else:
            self._wait(turn)
        self._start_due()
        return not turn.refused

    def _flavour_of(self, program: str) -> MpiFlavour | None:
        if program not in self._flavours:
            self._flavours[program] = self._flavour(program)
        return self._flavours[program]

    def _wait(self, turn: Turn) -> None:
        # Told before it can start, so that nothing is told of its start before.
        turn.waited = True
        turn.report(turn.name, Queued(self._clock.now(), WAITING))
        try:
            if not self._turns.queue(turn):
                self._abandon(turn)
        except AllocationError as error:
            turn.report(turn.name, Ended(self._clock.now(), None, str(error)))

    def _abandon(self, turn: Turn) -> None:
        by = "" if turn.stop is not None else "its driver, which ended before there was room for it"
        turn.report(turn.name, Ended(self._clock.now(), None, cancelled_by=by))

    def _start_due(self) -> None:
        """Start the steps for which there is room; when somebody does already, they do it for all."""
        while (turn := self._turns.next()) is not None:
            try:
                self._start(turn)
            finally:
                self._turns.next_done()

    def _start(self, turn: Turn) -> None:
        try:
            step = self._placed(turn)
            self._inner.submit([step], partial(self._tell, turn))
        except LauncherError as error:
            self._tell(turn, turn.name, Refused(self._clock.now(), error))
        except Exception as error:  # noqa: BLE001 - this may be a thread that others wait for
            text = f"{turn.name} cannot be started: {type(error).__name__}: {error}"
            self._tell(turn, turn.name, Refused(self._clock.now(), LauncherError(text)))
        self._has_started(turn)

    def _placed(self, turn: Turn) -> Step:
        """Return a step that is told its lease, with the files that its run command reads."""
        request = turn.demand.request
        step, files = placed(turn.step, request, turn.lease, self._nodes, turn.flavour, binds=self._binds)
        try:
            for path, content in files.items():
                self._files.write(path, content)
        except OSError as error:
            reason = f"Cannot write {error.filename}, which tells its run command of its nodes: {error.strerror}"
            raise LauncherError(f"{turn.name}: {reason}") from error
        return step

    def _has_started(self, turn: Turn) -> None:
        grace = self._turns.started(turn)
        if grace is not None:
            self._inner.stop([turn.name], grace)

    def _tell(self, turn: Turn, name: str, event: JobEvent) -> None:
        """Report what is said of a step; once it is over others may have their turn."""
        if isinstance(event, Queued) and turn.waited:
            return
        if isinstance(event, Refused) and turn.waited:
            event = Ended(event.at, None, str(event.error))
        turn.refused = isinstance(event, Refused)
        if isinstance(event, Ended) and event.returncode != 0 and turn.stop is None and self._losses is not None:
            self._losses.ask(partial(self._end, turn, event))
            return
        if isinstance(event, Started):
            event = replace(event, placement=turn.lease.shares)
        over = isinstance(event, Refused | Ended)
        if over:
            self._turns.ended(turn)
        turn.report(name, event)
        if over:
            self._start_due()

    def _end(self, turn: Turn, event: Ended, lost: Collection[str]) -> None:
        """Report the end of a step, for which the loss of its nodes may be the reason."""
        for other, error in self._turns.lose(lost):
            other.report(other.name, Ended(self._clock.now(), None, str(error)))
        failed = [share.node for share in turn.lease.shares if share.node in lost]
        if failed:
            # Slurm's books may tell that the controller has cancelled it.
            reason = f"node failure: {', '.join(failed)} failed while it ran there"
            event = replace(event, reason=reason, cancelled_by="")
        self._turns.ended(turn)
        turn.report(turn.name, event)
        self._start_due()


def _write(lease: Lease) -> list[dict[str, object]]:
    return [
        {"node": share.node, "tasks": share.tasks, "cpus": list(share.cpus), "gpus": list(share.gpus)}
        for share in lease.shares
    ]


def _read(value: object) -> Lease | None:
    """Return a lease that `_write` wrote; None for anything else."""
    shares = []
    for share in value if isinstance(value, list) else ():
        match share:
            case {"node": str(node), "tasks": int(tasks), "cpus": list(cpus), "gpus": list(gpus)}:
                shares.append(Share(node, tasks, tuple(cpus), tuple(gpus)))
    return Lease(tuple(shares)) if shares else None
