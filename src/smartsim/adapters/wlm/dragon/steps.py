"""What becomes of the steps in a runtime, in its server. Knows no socket, no clock and nothing of Dragon.

A rank is a process of Dragon that waits to be told to start its program. Those of all steps of a submission are made at
once, as that takes the time; they are told in the order of the steps, until one cannot be started.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from smartsim.adapters.wlm.dragon.placement import DragonNode, Wish, choose
from smartsim.adapters.wlm.dragon.wire import Message
from smartsim.domain.errors import LauncherError
from smartsim.domain.lifecycle import describe_returncode


class Peer(Protocol):
    """A driver, or a rank."""

    def tell(self, message: Message) -> None:
        """Send it a message, if it is there to hear it."""
        ...

    def dismiss(self) -> None:
        """End the connection to it. A rank ends at that, and so does its program."""
        ...


class Stage(Enum):
    """How far a rank is."""

    MADE = "made"
    READY = "ready"
    TOLD = "told"
    RUNNING = "running"
    ENDED = "ended"


@dataclass(eq=False)
class Rank:
    """A process of a step.

    Args:
        step: the one.
        index: counts those of the step from 0.
        place: of its node among those of the runtime.
        peer: by which it is told things, once it is ready.
        puid: what Dragon calls it, once it is made.
        stage: how far it is.
    """

    step: RankedStep
    index: int
    place: int
    peer: Peer | None = None
    puid: int | None = None
    stage: Stage = Stage.MADE

    def tell(self, message: Message) -> None:
        """Send it a message."""
        if self.peer is not None:
            self.peer.tell(message)


@dataclass(eq=False)
class RankedStep:
    """A step.

    Args:
        name: as the driver calls it.
        argv: of its program; so the next.
        directory: absolute.
        stdout: a file, as `stderr`.
        environment: of the program, but for what Dragon adds.
        unset: variables of the runtime that the program does not have.
        wish: what it asks for.
        followers: the drivers that are told of it.
        owner: the driver without which it does not go on, if there is such a one.
        ranks: its processes.
        refusal: why it cannot be started, if it cannot.
        is_started: whether all of its ranks run, or have run.
        returncode: of the first rank that failed; 0 without one, None if nobody knows.
        reason: which that was.
    """

    name: str
    argv: Sequence[str]
    directory: str
    stdout: str
    stderr: str
    environment: Mapping[str, str]
    unset: Collection[str]
    wish: Wish
    followers: list[Peer] = field(default_factory=list)
    owner: Peer | None = None
    ranks: list[Rank] = field(default_factory=list)
    refusal: str = ""
    is_started: bool = False
    returncode: int | None = 0
    reason: str = ""

    def has(self, *stages: Stage) -> bool:
        """Return whether all ranks are as far as that."""
        return all(rank.stage in stages for rank in self.ranks)

    def report(self, event: str, **facts: object) -> None:
        """Tell the drivers that follow it."""
        for follower in self.followers:
            follower.tell({"step": self.name, "event": event, **facts})


class Steps:
    """The steps of a runtime.

    Args:
        nodes: of the runtime.
        make: has the process of a rank made; `made` or `failed` tells how that went.
    """

    def __init__(self, nodes: Sequence[DragonNode], make: Callable[[Rank], None]) -> None:
        self._nodes = nodes
        self._make = make
        self._steps: dict[str, RankedStep] = {}
        self._submissions: list[tuple[Peer, deque[RankedStep]]] = []
        self._load: Counter[int] = Counter()

    def __bool__(self) -> bool:
        return bool(self._steps or self._submissions)

    def unheard(self) -> list[Rank]:
        """Return the ranks that were made and are awaited."""
        heads = [submission[0] for _, submission in self._submissions]
        ranks = (rank for step in heads for rank in step.ranks)
        return [rank for rank in ranks if rank.stage is Stage.MADE and rank.puid is not None]

    # What drivers want

    def submit(self, follower: Peer, steps: Sequence[RankedStep], *, is_left: bool = True) -> None:
        """Start steps, in order, until one cannot be started.

        Args:
            follower: the driver, which is told of each, and when all are started.
            steps: the ones.
            is_left: whether they go on when the driver has gone.
        """
        self._submissions.append((follower, deque(steps)))
        for step in steps:
            step.followers.append(follower)
            step.owner = None if is_left else follower
            self._prepare(step)
            if step.refusal:
                break
        self._proceed()

    def stop(self, names: Collection[str], grace: float) -> None:
        """Have steps that run end."""
        for name in names:
            if name in self._steps and self._steps[name].is_started:
                _stop(self._steps[name], grace)

    def follow(self, follower: Peer, name: str) -> int | None:
        """Have a driver told of a step that runs; return what Dragon calls its first rank, None if it does not run."""
        step = self._steps.get(name)
        if step is None or not step.is_started:
            return None
        if follower not in step.followers:
            step.followers.append(follower)
        return step.ranks[0].puid

    def forget(self, follower: Peer) -> None:
        """Tell a driver nothing more. Steps of which it was not told that they run do not start."""
        for step in self._steps.values():
            step.followers = [known for known in step.followers if known is not follower]
            if step.owner is follower:
                _stop(step, 0.0)
        for known, submission in self._submissions:
            if known is follower:
                submission[0].refusal = submission[0].refusal or "its driver has gone"
        self._proceed()

    # What becomes of ranks

    def made(self, rank: Rank, puid: int) -> None:
        """Take note that a rank's process was made."""
        rank.puid = puid
        self._proceed()

    def ready(self, peer: Peer, name: str, index: int) -> Rank | None:
        """Take note that a rank waits to be told; return it, None if nobody waits for it."""
        step = self._steps.get(name)
        if step is None or index >= len(step.ranks) or step.ranks[index].stage is not Stage.MADE:
            return None
        rank = step.ranks[index]
        rank.peer, rank.stage = peer, Stage.READY
        step.report("progress")
        self._proceed()
        return rank

    def started(self, rank: Rank) -> None:
        """Take note that a rank's program runs."""
        rank.stage = Stage.RUNNING
        self._proceed()

    def failed(self, rank: Rank, reason: str) -> None:
        """Take note that a rank's program cannot be started."""
        rank.stage = Stage.ENDED
        step = rank.step
        where = f" (rank {rank.index}, on node {self._nodes[rank.place].name})" if len(step.ranks) > 1 else ""
        step.refusal = step.refusal or reason + where
        self._proceed()

    def ended(self, rank: Rank, returncode: int | None) -> None:
        """Take note that a rank ended; None when nobody knows how its program did."""
        step = rank.step
        if rank.stage is Stage.ENDED:
            return
        if rank.stage is not Stage.RUNNING:
            self.failed(rank, "the process that starts its program ended")
            return
        rank.stage = Stage.ENDED
        if returncode != 0 and step.returncode == 0:
            step.returncode = returncode
            if returncode is None or len(step.ranks) > 1:
                what = "was lost" if returncode is None else f"ended with {describe_returncode(returncode)}"
                step.reason = f"rank {rank.index} on node {self._nodes[rank.place].name} {what}"
        if step.is_started:
            self._conclude(step)
        self._proceed()

    # Starting in order

    def _prepare(self, step: RankedStep) -> None:
        if step.name in self._steps:
            step.refusal = f"a step named {step.name!r} is running already"
            return
        load = [self._load[place] for place in range(len(self._nodes))]
        try:
            places = choose(step.wish, self._nodes, load)
        except LauncherError as error:
            step.refusal = str(error)
            return
        self._steps[step.name] = step
        for place in places:
            self._load[place] += step.wish.tasks_per_node
            for _ in range(step.wish.tasks_per_node):
                step.ranks.append(Rank(step, len(step.ranks), place))
        for rank in step.ranks:
            self._make(rank)

    def _proceed(self) -> None:
        for entry in list(self._submissions):
            follower, submission = entry
            while submission and self._start(submission[0]):
                if submission.popleft().refusal:
                    for step in submission:
                        self._forget(step)
                    submission.clear()
            if not submission:
                self._submissions.remove(entry)
                follower.tell({"event": "submitted"})

    def _start(self, step: RankedStep) -> bool:
        """Go on with the start of a step; return whether that is over, well or not."""
        if step.refusal:
            _stop(step, 0.0)
            if not step.has(Stage.ENDED):
                return False
            self._forget(step)
            step.report("refused", reason=step.refusal)
            return True
        if any(rank.stage is Stage.MADE or rank.puid is None for rank in step.ranks):
            return False
        # The first rank empties the output files, before others write to them.
        first = step.ranks[0]
        told = step.ranks if first.stage in (Stage.RUNNING, Stage.ENDED) else [first]
        for rank in told:
            if rank.stage is Stage.READY:
                rank.stage = Stage.TOLD
                rank.tell({"go": True, "unset": list(step.unset)})
        if not step.has(Stage.RUNNING, Stage.ENDED):
            return False
        step.is_started = True
        step.report("started", id=step.ranks[0].puid)
        self._conclude(step)
        return True

    def _conclude(self, step: RankedStep) -> None:
        """Tell of the end of a step, when that has come."""
        if step.has(Stage.ENDED):
            self._forget(step)
            step.report("ended", returncode=step.returncode, reason=step.reason)

    def _forget(self, step: RankedStep) -> None:
        for rank in step.ranks:
            self._load[rank.place] -= 1
            if rank.stage is not Stage.ENDED:
                rank.stage = Stage.ENDED
                if rank.peer is not None:
                    rank.peer.dismiss()
        if self._steps.get(step.name) is step:
            del self._steps[step.name]


def _stop(step: RankedStep, grace: float) -> None:
    """Have the ranks of a step end; those that were not told to start their program do not."""
    for rank in step.ranks:
        if rank.stage is Stage.RUNNING:
            rank.tell({"stop": grace})
        elif rank.stage in (Stage.MADE, Stage.READY):
            rank.stage = Stage.ENDED
            if rank.peer is not None:
                rank.peer.dismiss()
