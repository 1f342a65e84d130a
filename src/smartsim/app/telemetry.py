"""What is recorded of experiments and databases beside their results: the switches, and the samples of databases."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from smartsim.app.logs import get_logger
from smartsim.domain.errors import SmartSimError

if TYPE_CHECKING:
    from smartsim.app.service import RunningShard, Service
    from smartsim.ports.clock import Clock
    from smartsim.ports.database_server import ServerUsage
    from smartsim.ports.file_system import FileSystem

FREQUENCY_VARIABLE = "SMARTSIM_TELEMETRY_FREQUENCY"
_DEFAULT_INTERVAL = 5
_LONGEST_INTERVAL = 600
_ANSWER_TIMEOUT = 2.0  # seconds that a server has to answer


class TelemetryConfiguration:
    """A switch.

    Args:
        enabled: its first position.
    """

    def __init__(self, enabled: bool) -> None:
        self._enabled = enabled

    @property
    def is_enabled(self) -> bool:
        """Whether it is on."""
        return self._enabled

    def enable(self) -> None:
        """Switch it on. A database is sampled from the next start of its experiment on."""
        self._enabled = True

    def disable(self) -> None:
        """Switch it off. Results, exit codes and files of entities are the same without."""
        self._enabled = False


@dataclass(frozen=True)
class SampledShard:
    """A server that runs and is to be looked at.

    Args:
        service: of its database.
        shard: the server.
        directory: for the samples; absolute.
    """

    service: Service
    shard: RunningShard
    directory: str


class DatabaseSampler:
    """Writes down from time to time how databases do, in one thread, as long as any is to be looked at.

    Beside the outputs of each server it keeps ``memory.csv`` (bytes), ``client.csv`` and ``client_count.csv``; times in
    them are milliseconds since the epoch.

    Args:
        find: returns the servers to look at.
        files: takes the samples.
        clock: tells the time.
        interval: seconds between two samples.
    """

    def __init__(
        self, find: Callable[[], Sequence[SampledShard]], files: FileSystem, clock: Clock, interval: float
    ) -> None:
        self._find = find
        self._files = files
        self._clock = clock
        self._interval = interval
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._failed = False

    def start(self) -> None:
        """See to it that the thread runs if there is anything to look at."""
        with self._lock:
            if self._thread is None and not self._closing.is_set() and self._find():
                self._thread = threading.Thread(target=self._run, name="smartsim-sampler", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._closing.set()
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join(2 * _ANSWER_TIMEOUT)

    def _run(self) -> None:
        while not self._closing.is_set():
            with self._lock:
                found = self._find()
                if not found:
                    self._thread = None
                    return
            for sampled in found:
                if self._closing.is_set():
                    return
                self._sample(sampled)
            self._closing.wait(self._interval)

    def _sample(self, sampled: SampledShard) -> None:
        try:
            usage = sampled.service.server.usage(sampled.shard.address, sampled.service.credentials, _ANSWER_TIMEOUT)
            for name, (header, rows) in tables(usage, int(self._clock.now() * 1e3)).items():
                path = f"{sampled.directory}/{name}"
                first = [] if self._files.inspect(path) is not None else [header]
                self._files.append(path, "".join(f"{','.join(map(str, row))}\n" for row in (*first, *rows)).encode())
        except SmartSimError as error:  # such as of a server that has just ended
            get_logger(__name__).debug(f"{sampled.shard.plan.name} was not sampled: {error}")
        except OSError as error:
            if not self._failed:
                self._failed = True
                get_logger(__name__).warning(f"Samples of {sampled.shard.plan.name} cannot be written: {error}")


def tables(usage: ServerUsage, timestamp: int) -> Mapping[str, tuple[Sequence[str], Sequence[Sequence[str | int]]]]:
    """Return what is added to each file for one sample: its columns, and rows.

    Args:
        usage: the sample.
        timestamp: of it, in milliseconds since the epoch.
    """
    return {
        "memory.csv": (
            ("timestamp", "used_memory", "used_memory_peak", "total_system_memory"),
            [(timestamp, usage.used_memory, usage.used_memory_peak, usage.total_system_memory)],
        ),
        "client.csv": (
            ("timestamp", "client_id", "address"),
            [(timestamp, client.id, client.address) for client in usage.clients],
        ),
        "client_count.csv": (("timestamp", "num_clients"), [(timestamp, len(usage.clients))]),
    }


def sampling_interval(environment: Mapping[str, str]) -> int:
    """Return the seconds between two samples, as the environment has them.

    Args:
        environment: the variables of the driver.

    Raises:
        ValueError: they are no whole number from 1 to 600.

    Example:
        >>> sampling_interval({"SMARTSIM_TELEMETRY_FREQUENCY": "30"})
        30
    """
    text = environment.get(FREQUENCY_VARIABLE, str(_DEFAULT_INTERVAL))
    try:
        interval = int(text)
    except ValueError:
        interval = 0
    if not 1 <= interval <= _LONGEST_INTERVAL:
        raise ValueError(
            f"{FREQUENCY_VARIABLE} must be a whole number of seconds from 1 to {_LONGEST_INTERVAL}, not {text!r}"
        )
    return interval
