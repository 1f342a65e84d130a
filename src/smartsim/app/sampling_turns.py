"""Whose turn it is to sample the servers of a database: its driver's, or that of the supervisors beside them.

A driver that samples says so in a file of the database's directory, and anew with each of its looks. A supervisor goes
on when the file stays as it is and the driver that it names has ended; of a driver on another machine it knows no more
than the file, and waits longer. Without the file nobody wants samples.
"""

from __future__ import annotations

import json
import os
import posixpath
import select
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from smartsim.adapters.wlm.proc import identity, runs
from smartsim.domain.record_values import decoder

if TYPE_CHECKING:
    from smartsim.app.database_samples import SampledServer
    from smartsim.ports.clock import Clock
    from smartsim.ports.file_system import FileReader, FileSystem

SHARE: Final = 0.01  # of a core, that sampling takes at most
_FILE: Final = "sampled.json"
_LOOK: Final = 2.0  # seconds between two looks at a file that is not there
_LOOKS: Final = 3  # that a driver on another machine may have missed,
_PATIENCE: Final = 60.0  # and seconds that it may have been silent at least


@dataclass(frozen=True)
class Turn:
    """A driver samples.

    Args:
        at: when it did so last, in seconds since the epoch.
        metrics: the file that takes the samples; absolute.
        database: the name of the database.
        interval: seconds between two looks.
        everywhere: whether servers on other machines than the driver's are sampled, too.
        host: the name of the driver's machine.
        pid: the driver there.
        identity: tells it from other processes of that id.
    """

    at: float
    metrics: str
    database: str
    interval: float
    everywhere: bool
    host: str
    pid: int
    identity: str


def turn_file(directory: str) -> str:
    """Return the path of the file for the servers that have their files in a directory."""
    return posixpath.join(directory, _FILE)


class SamplingTurns:
    """What a driver says.

    Args:
        files: takes it.
        clock: tells the time.
        metrics: the file that takes samples; None if they go where supervisors cannot write.
        interval: seconds between two looks.
    """

    def __init__(self, files: FileSystem, clock: Clock, metrics: str | None, interval: float) -> None:
        self._files = files
        self._clock = clock
        self._metrics = metrics
        self._interval = interval

    def take(self, servers: Iterable[SampledServer]) -> None:
        """Say that this process samples servers."""
        if self._metrics is None:
            return
        own, at, metrics = os.getpid(), self._clock.now(), self._metrics
        process = os.uname().nodename, own, identity(own) or ""
        for home, server in _by_home(servers).items():
            turn = Turn(at, metrics, server.database, self._interval, not server.is_colocated, *process)
            with suppress(OSError):  # a full disk, or somebody has removed the directory: nobody goes on, then
                self._files.write(turn_file(home), json.dumps(asdict(turn)).encode() + b"\n", 0o600)

    def decline(self, servers: Iterable[SampledServer]) -> None:
        """Say that nobody is to sample servers."""
        for home in _by_home(servers):
            with suppress(OSError):
                self._files.remove(turn_file(home))


def _by_home(servers: Iterable[SampledServer]) -> Mapping[str, SampledServer]:
    return {server.home: server for server in servers if server.home}


class Watch:
    """Sees whether a supervisor is to sample its server.

    Args:
        files: has what drivers say.
        clock: measures how long ago that was.
        directory: of the server's files.

    Attributes:
        interval: seconds until the next look.
    """

    def __init__(self, files: FileReader, clock: Clock, directory: str) -> None:
        self._files = files
        self._clock = clock
        self._path = turn_file(directory)
        self._content = b""
        self._since = 0.0  # when the content was seen first
        self._turn: Turn | None = None
        self.interval = _LOOK

    def due(self) -> Turn | None:
        """Return the turn of a driver that has gone; None while it has not, or there was none.

        Clocks of machines are not compared: what counts is whether the file has changed since the last look.
        """
        try:
            content = self._files.read(self._path)
        except OSError:
            content = b""
        now = self._clock.monotonic()
        if content != self._content:
            self._content, self._since, self._turn = content, now, _parse(content)
            self.interval = _LOOK if self._turn is None else self._turn.interval
            return None
        turn = self._turn
        if turn is None or self._is_taken(turn, now - self._since):
            return None
        # A record that was removed with its directory is not to come back.
        return turn if self._files.inspect(posixpath.dirname(turn.metrics)) is not None else None

    def _is_taken(self, turn: Turn, silent: float) -> bool:
        if turn.host == os.uname().nodename:
            return runs(turn.pid, turn.identity)
        return not turn.everywhere or silent < max(_PATIENCE, _LOOKS * turn.interval)


def _parse(content: bytes) -> Turn | None:
    try:
        turn: Turn = decoder(Turn)(json.loads(content))
    except (ValueError, TypeError, RecursionError):
        return None
    return turn


def keep_samples(name: str, watch: Watch, begin: Callable[[Turn], Callable[[], None]], ended: int) -> None:
    """Sample a server whenever its driver does not; return when it has ended.

    What goes wrong is said once, and tried again: the server matters more.

    Args:
        name: of the server.
        watch: says when.
        begin: returns what takes a sample.
        ended: a descriptor that is readable once the server has ended.
    """
    pause = watch.interval
    known: Turn | None = None
    sample: Callable[[], None] | None = None
    failed = False
    while not select.select([ended], [], [], pause)[0]:
        began = time.thread_time()
        try:
            turn = watch.due()
            if turn is None:
                sample = None
            elif sample is None or turn != known:
                known, sample = turn, begin(turn)
            if sample is not None:
                sample()
        except Exception as error:  # noqa: BLE001 - whatever it is, workers and leases are to be kept
            if not failed:
                failed = True
                with suppress(OSError):  # its standard error is the shard's: a file on a disk that may be full
                    print(f"{name} was not sampled: {error!r}", file=sys.stderr, flush=True)  # noqa: T201
        pause = max(watch.interval, (time.thread_time() - began) / SHARE)
