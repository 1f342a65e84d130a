"""Whose turn it is to have a part of an allocation. May be used from several threads; calls nobody."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from smartsim.domain.demands import Demand, settle
from smartsim.domain.errors import AllocationError, LauncherError
from smartsim.domain.placement import Placement, enqueue, lose, plan, release, take, withdraw
from smartsim.domain.resources import Lease, Node, ResourceRequest

if TYPE_CHECKING:
    from smartsim.domain.settings.mpi import MpiFlavour
    from smartsim.domain.steps import Step
    from smartsim.ports.workload_manager import Report


_NO_REQUEST = ResourceRequest()
_UNKNOWN = Demand(_NO_REQUEST, ())
_NOTHING = Lease(())


class Phase(Enum):
    """Where a step stands."""

    NEW = auto()
    QUEUED = auto()
    DUE = auto()  # it has a lease, and nobody has begun to start it
    STARTING = auto()  # it is known who starts it, and not yet whether it can be stopped
    STARTED = auto()


@dataclass(eq=False)
class Turn:
    """A step that has a part of the allocation, or is to have one.

    Args:
        step: as it was submitted.
        report: who wants to know.
        request: what it asks for; it does not matter of one that an earlier driver started, and so the next.
        demand: what that is in this allocation.
        flavour: whose mpirun starts its ranks, if one does and it is known.
        phase: where it stands.
        lease: what it has.
        waited: whether it was reported as queued.
        refused: whether it was reported as refused.
        stop: seconds of grace, when it was asked to end.
    """

    step: Step
    report: Report
    request: ResourceRequest = _NO_REQUEST
    demand: Demand = _UNKNOWN
    flavour: MpiFlavour | None = None
    phase: Phase = Phase.NEW
    lease: Lease = _NOTHING
    waited: bool = False
    refused: bool = False
    stop: float | None = None

    @property
    def name(self) -> str:
        """The step's name."""
        return self.step.name


class Turns:
    """The steps of an allocation.

    Args:
        nodes: of the allocation, in the scheduler's order.
    """

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._lock = threading.Lock()
        self._placement = Placement.of(nodes)
        self._turns: dict[str, Turn] = {}
        self._due: deque[Turn] = deque()
        self._lost: set[str] = set()
        self._somebody_starts = False
        self._closed = False

    def add(self, turn: Turn) -> bool:
        """Take note of a new step, and return whether it is to be started now, by the caller.

        Raises:
            LauncherError: there is one of its name, or the allocation can never give it what it asks for.
        """
        with self._lock:
            if turn.name in self._turns:
                raise LauncherError(f"A step named {turn.name!r} is running, or waits, already")
            self._settle(turn)
            self._turns[turn.name] = turn
            leases, placement = plan(enqueue(self._placement, turn.name, turn.demand))
            if turn.name not in leases:
                return False
            self._grant(leases, placement)
            self._due.remove(turn)
            turn.phase = Phase.STARTING
            return True

    def queue(self, turn: Turn) -> bool:
        """Have a new step wait; return False, and forget it, when it is not to start any more.

        Raises:
            AllocationError: the allocation has lost what it asks for; it is forgotten.
        """
        with self._lock:
            if turn.stop is not None or self._closed:
                self._forget(turn)
                return False
            if self._lost:
                try:
                    self._settle(turn)
                except AllocationError:
                    self._forget(turn)
                    raise
            self._enqueue(turn)
            return True

    def next(self) -> Turn | None:
        """Return a step that is to be started now, by the caller, who then calls `next_done`.

        Returns:
            None when there is none, or somebody has called this and not `next_done`: they call it again.
        """
        with self._lock:
            if self._somebody_starts:
                return None
            if not self._due:
                self._grant(*plan(self._placement))
            if not self._due:
                return None
            turn = self._due.popleft()
            turn.phase = Phase.STARTING
            self._somebody_starts = True
            return turn

    def next_done(self) -> None:
        """Let others start steps."""
        with self._lock:
            self._somebody_starts = False

    def follow(self, turn: Turn, lease: Lease) -> None:
        """Take note of a step that an earlier driver started, and of what is free of its lease."""
        with self._lock:
            turn.lease, self._placement = take(self._placement, lease)
            turn.phase = Phase.STARTING
            self._turns[turn.name] = turn

    def started(self, turn: Turn) -> float | None:
        """Take note that a step can be stopped; return the seconds of grace if that was asked for before."""
        with self._lock:
            turn.phase = Phase.STARTED
            return turn.stop if self._turns.get(turn.name) is turn else None

    def ended(self, turn: Turn) -> None:
        """Forget a step, and take back what it had."""
        with self._lock:
            self._forget(turn)

    def lose(self, names: Collection[str]) -> list[tuple[Turn, AllocationError]]:
        """Take note that nodes have failed; return the steps that can never start, and are forgotten, and why."""
        with self._lock:
            if self._lost.issuperset(names):
                return []
            self._lost.update(names)
            for turn in [turn for turn in self._due if any(share.node in names for share in turn.lease.shares)]:
                self._due.remove(turn)
                self._placement = release(self._placement, turn.lease)
                turn.lease = _NOTHING
                self._enqueue(turn)
            errors, self._placement = lose(self._placement, names)
            return [(self._turns.pop(name), self._with_losses(error)) for name, error in errors.items()]

    def stop(self, names: Collection[str], grace: float) -> tuple[list[Turn], list[str]]:
        """Take note that steps are to end.

        Returns:
            Those that waited, and are forgotten; and the names of those that have started, or are not known here.
        """
        withdrawn, others = [], []
        with self._lock:
            for name in names:
                turn = self._turns.get(name)
                if turn is None:
                    others.append(name)
                elif turn.phase is Phase.STARTED:
                    turn.stop = grace
                    others.append(name)
                elif turn.phase in (Phase.QUEUED, Phase.DUE):
                    self._forget(turn)
                    withdrawn.append(turn)
                else:
                    turn.stop = grace if turn.stop is None else min(turn.stop, grace)
        return withdrawn, others

    def find(self, name: str) -> Turn | None:
        """Return the step of a name; None when it is not known here."""
        with self._lock:
            return self._turns.get(name)

    def close(self) -> list[Turn]:
        """Start nothing any more; return those that waited, and are forgotten."""
        with self._lock:
            self._closed = True
            waiting = [turn for turn in self._turns.values() if turn.phase in (Phase.QUEUED, Phase.DUE)]
            for turn in waiting:
                self._forget(turn)
            return waiting

    def _settle(self, turn: Turn) -> None:
        try:
            turn.demand = settle(turn.name, turn.request, self._placement.nodes)
        except AllocationError as error:
            raise self._with_losses(error) from None

    def _with_losses(self, error: AllocationError) -> AllocationError:
        lost = ", ".join(sorted(self._lost))
        return AllocationError(f"{error}. It had more before {lost} failed") if lost else error

    def _enqueue(self, turn: Turn) -> None:
        self._placement = enqueue(self._placement, turn.name, turn.demand)
        turn.phase = Phase.QUEUED

    def _grant(self, leases: Mapping[str, Lease], placement: Placement) -> None:
        self._placement = placement
        for name, lease in leases.items():
            turn = self._turns[name]
            turn.lease, turn.phase = lease, Phase.DUE
            self._due.append(turn)

    def _forget(self, turn: Turn) -> None:
        del self._turns[turn.name]
        if turn.phase is Phase.QUEUED:
            self._placement = withdraw(self._placement, turn.name)
        elif turn.phase is Phase.DUE:
            self._due.remove(turn)
        self._placement = release(self._placement, turn.lease)
