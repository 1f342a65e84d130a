"""Looking from time to time at what runs: one thread of the driver for all of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from smartsim.app.logs import get_logger
from smartsim.app.sampling_turns import SHARE
from smartsim.domain import record

if TYPE_CHECKING:
    from smartsim.ports.clock import Clock
    from smartsim.ports.event_log import EventLog

ANSWER_TIMEOUT = 2.0  # seconds that a server has to answer
_PART = 1 / 200  # of the age of something: how long after the last sample of it the next one is written


class Source(Protocol):
    """Something to look at."""

    def has_any(self) -> bool:
        """Return whether there is anything to look at, now or soon."""
        ...

    def sample(self) -> Iterator[record.Event]:
        """Look at all of it."""
        ...


class Sampler:
    """The thread. It runs as long as there is anything to look at, and takes one hundredth of a core at most.

    Args:
        sources: what is looked at.
        take: is given the samples, all of one time together.
        interval: seconds between two samples; more when these cost much.
        announce: is called at each `start`, and before each look; such as to tell others that they need not look.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        take: Callable[[Sequence[record.Event]], None],
        interval: float,
        announce: Callable[[], None] = lambda: None,
    ) -> None:
        self._sources = sources
        self._announce = announce
        self._take = take
        self._interval = interval
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._failed: set[Source] = set()

    def start(self) -> None:
        """See to it that the thread runs if there is anything to look at."""
        self._tell()
        with self._lock:
            if self._thread is None and not self._closing.is_set() and self._has_any():
                self._thread = threading.Thread(target=self._run, name="smartsim-sampler", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._closing.set()
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join(2 * ANSWER_TIMEOUT)

    def _run(self) -> None:
        while not self._closing.is_set():
            begin = time.thread_time()
            self._tell()
            with self._lock:
                if not self._has_any():
                    self._thread = None
                    return
            self._sample()
            used = time.thread_time() - begin
            self._closing.wait(max(self._interval, used / SHARE))

    def _tell(self) -> None:
        try:
            self._announce()
        except Exception as error:  # noqa: BLE001 - jobs matter more
            get_logger(__name__).debug(f"Nobody was told of the samples: {error!r}")

    def _has_any(self) -> bool:
        try:
            return any(source.has_any() for source in self._sources)
        except Exception as error:  # noqa: BLE001 - jobs matter more
            get_logger(__name__).warning(f"Nothing is sampled until the next start: {error!r}")
            return False

    def _sample(self) -> None:
        samples: list[record.Event] = []
        for source in self._sources:
            try:
                for sample in source.sample():
                    samples.append(sample)
                    if self._closing.is_set():
                        break
            except Exception as error:  # noqa: BLE001 - the others are to be looked at, and this one the next time
                if source not in self._failed:
                    self._failed.add(source)
                    get_logger(__name__).warning(f"Something was not sampled: {error!r}")
        self._take(samples)


class Samples:
    """Writes samples down. That this cannot be done is said once.

    Args:
        log: takes them.
        clock: tells the time.
        export: is given them, too.
    """

    def __init__(
        self, log: EventLog, clock: Clock, export: Callable[[Sequence[record.Event]], None] | None = None
    ) -> None:
        self._log = log
        self._clock = clock
        self._export = export
        self._failed = False

    def take(self, samples: Sequence[record.Event]) -> None:
        """Write samples."""
        now = self._clock.now()
        try:
            self._log.append([record.write(sample, now) for sample in samples])
            if self._export is not None:
                self._export(samples)
        except Exception as error:  # noqa: BLE001 - a log of a platform may raise anything
            if not self._failed:
                self._failed = True
                get_logger(__name__).warning(f"{error}. Jobs and databases go on, but are not sampled")


class Pace:
    """When samples of something are written: at every look first, and ever more seldom the longer it runs.

    What has run for a week has a few thousand samples so, not a hundred thousand.

    Args:
        began: when it was looked at first, in seconds of any clock.
        interval: seconds between two looks.
        longest: seconds between two samples, at most.

    Example:
        >>> pace = Pace(began=0, interval=5, longest=60)
        >>> [pace.is_due(now) for now in (0, 1, 5)], pace.is_due(10_000), pace.is_due(10_040), pace.is_due(10_050)
        ([True, False, True], True, False, True)
    """

    def __init__(self, began: float, interval: float, longest: float) -> None:
        self._began = began
        self._interval = interval
        self._longest = longest
        self._last = float("-inf")

    def is_due(self, now: float) -> bool:
        """Return whether a sample is to be written; if so, it counts as written."""
        gap = max(self._interval, min(self._longest, (now - self._began) * _PART))
        due = now - self._last >= gap - self._interval / 2  # looks are not that regular
        if due:
            self._last = now
        return due
