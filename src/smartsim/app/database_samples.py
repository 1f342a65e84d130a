"""Samples of databases: how their servers do, and the models and scripts on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from smartsim.app.logs import get_logger
from smartsim.app.sampling import ANSWER_TIMEOUT, Pace
from smartsim.domain import record
from smartsim.domain.errors import SmartSimError
from smartsim.domain.metrics import ModelSampled, ServersSampled
from smartsim.ports.database_server import LargestKeys

if TYPE_CHECKING:
    from smartsim.domain.addresses import Address
    from smartsim.ports.clock import Clock
    from smartsim.ports.database_server import Credentials, ObservedServer, ServerUsage
    from smartsim.ports.file_system import FileSystem

_LONGEST = 60.0  # seconds between two samples of a server
_KEYS_EVERY = 10  # looks at a server


@dataclass(frozen=True)
class SampledServer:
    """A server that runs and is to be looked at.

    Args:
        database: the name of its database.
        name: of the server.
        run: tells this run of the server from others.
        server: talks to it.
        address: where it listens.
        credentials: of a user that may ask it.
        directory: for its tables; absolute. None for none.
        home: the directory of its own files; absolute. Empty if nobody else is to know that it is looked at.
        is_colocated: whether others of its name may run on other machines, which are not looked at.
    """

    database: str
    name: str
    run: str
    server: ObservedServer
    address: Address
    credentials: Credentials
    directory: str | None = None
    home: str = ""
    is_colocated: bool = False


@dataclass
class _Seen:
    """What is known of a server.

    Args:
        pace: when samples of it are written.
        looks: how many there were.
        slow: the number of the last slow call.
        largest: the keys that were found.
        models: the last samples: the one that was written, and the last one, which says the same.
    """

    pace: Pace
    looks: int = 0
    slow: int = -1
    largest: LargestKeys = field(default_factory=LargestKeys)
    models: dict[str, tuple[ModelSampled, ModelSampled]] = field(default_factory=dict)


class DatabaseSamples:
    """Asks servers how they do.

    For those that have a directory for tables, it keeps ``memory.csv`` (bytes), ``client.csv`` and
    ``client_count.csv`` there; times in them are milliseconds since the epoch.

    Args:
        find: returns the servers.
        files: takes the tables.
        clock: tells the time.
        interval: seconds between two looks.
    """

    def __init__(
        self, find: Callable[[], Sequence[SampledServer]], files: FileSystem, clock: Clock, interval: float
    ) -> None:
        self._find = find
        self._files = files
        self._clock = clock
        self._interval = interval
        self._seen: dict[tuple[str, str], _Seen] = {}
        self._failed = False

    def has_any(self) -> bool:
        """Return whether a server runs."""
        return bool(self._find())

    def sample(self) -> Iterator[record.Event]:
        """Ask all servers, one after the other."""
        found = {(sampled.name, sampled.run): sampled for sampled in self._find()}
        self._seen = {key: seen for key, seen in self._seen.items() if key in found}
        for key, sampled in found.items():
            now = self._clock.monotonic()
            seen = self._seen.setdefault(key, _Seen(Pace(now, self._interval, _LONGEST)))
            is_due, keeps_tables = seen.pace.is_due(now), sampled.directory is not None
            if not (is_due or keeps_tables):
                continue
            try:
                usage = sampled.server.usage(
                    sampled.address, sampled.credentials, ANSWER_TIMEOUT, lists_clients=keeps_tables
                )
                at = self._clock.now()
                if sampled.directory is not None:
                    self._keep_tables(sampled.name, sampled.directory, usage, at)
                if is_due:
                    yield from _samples(sampled, seen, usage, at)
            except SmartSimError as error:  # such as of a server that has just ended
                get_logger(__name__).debug(f"{sampled.name} was not sampled: {error}")

    def _keep_tables(self, name: str, directory: str, usage: ServerUsage, at: float) -> None:
        try:
            for file, (header, rows) in tables(usage, int(at * 1e3)).items():
                path = f"{directory}/{file}"
                first = [] if self._files.inspect(path) is not None else [header]
                self._files.append(path, "".join(f"{','.join(map(str, row))}\n" for row in (*first, *rows)).encode())
        except OSError as error:
            if not self._failed:
                self._failed = True
                get_logger(__name__).warning(f"Samples of {name} cannot be written: {error}")


def _samples(sampled: SampledServer, seen: _Seen, usage: ServerUsage, at: float) -> Iterator[record.Event]:
    seen.looks += 1
    looks_for_keys = seen.looks % _KEYS_EVERY == 2 and not usage.is_replica  # noqa: PLR2004 - at first there are none
    if looks_for_keys:
        seen.largest = sampled.server.largest_keys(sampled.address, sampled.credentials, ANSWER_TIMEOUT, seen.largest)
    new = [number for number in sorted(usage.slow) if number > seen.slow]
    seen.slow = new[-1] if new else seen.slow
    yield ServersSampled(
        at,
        sampled.database,
        sampled.name,
        used_memory=usage.used_memory,
        peak_memory=usage.used_memory_peak,
        total_memory=usage.total_system_memory,
        clients=usage.client_count,
        keys=usage.keys,
        commands=sum(usage.calls.values()),
        hits=usage.hits,
        misses=usage.misses,
        bytes_in=usage.bytes_in,
        bytes_out=usage.bytes_out,
        calls=usage.calls,
        latencies=usage.latencies,
        slow=tuple(usage.slow[number] for number in new),
        largest_keys=tuple(seen.largest.keys.values()) if looks_for_keys else (),
    )
    for program in usage.programs:
        sample = ModelSampled(at, sampled.database, sampled.name, **vars(program))
        written, last = seen.models.get(program.model, (None, None))
        if written is not None and last is not None:
            if replace(sample, at=written.at) == written:
                seen.models[program.model] = written, sample
                continue
            if last is not written:
                yield last  # until when it was so
        seen.models[program.model] = sample, sample
        yield sample


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
