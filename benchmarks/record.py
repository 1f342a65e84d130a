"""What the record costs: events a second, and the driver's CPU with telemetry on against off.

* How many events a second one driver writes, one at a time as they happen, and in the batches of a start; and how many
  a reader folds.
* CPU of the driver (user and system) for an ensemble of `/bin/true` until all have ended, as in `launch.py`: of its
  creation, generation and start, of the start alone, and of the whole process; in a directory in memory, and in one for
  temporary files, which TMPDIR may name. Each round is a fresh interpreter, on and off taking turns, on first in every
  other pair. Nothing is removed meanwhile: for minutes, ext4 does not use the inodes of files again that were removed,
  but looks at each of them whenever it makes a file. Where much was removed shortly before, a file costs it ten times
  as much and more.
* CPU of the thread that samples a database, for one sample.

`slurm.py --record` has the driver's CPU on Slurm.

    python benchmarks/record.py [members] [rounds]
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable

from launch import _run

from smartsim import Experiment
from smartsim.adapters.eventlog.jsonl import JsonlEventLog
from smartsim.domain import record
from smartsim.domain.history import History
from smartsim.domain.record_facts import RunOptions
from smartsim.domain.record_lines import line

EVENTS = 20_000
MEMBERS = 500
ROUNDS = 15
SAMPLES = 50
IN_MEMORY = "/dev/shm"  # noqa: S108 - what is measured there has directories of its own
PARTS = {"creation, generation and start": "cpu", "start alone": "start_cpu", "whole process": "process_cpu"}


def life(number: int) -> list[record.Event]:
    """Return the events of a member."""
    entity, step, outputs = f"e_{number}", f"e_{number}-DN1PE3W785XC", f".smartsim/telemetry/study/06b2/e_{number}"
    return [
        record.Submitted(
            time.time(),
            entity,
            "Model",
            step,
            run_id="06b218ebf351",
            ensemble="e",
            command=("/bin/true",),
            directory=f"e/{entity}",
            stdout=f"{outputs}/{entity}.out",
            stderr=f"{outputs}/{entity}.err",
            params={"alpha": str(number), "beta": str(number)},
            settings=RunOptions(("/bin/true",)),
        ),
        record.Started(time.time(), entity, step, "4711"),
        record.Ended(time.time(), entity, step, "Completed", 0),
    ]


def rates() -> dict[str, float]:
    """Return events a second."""
    events = [event for number in range(EVENTS // 3) for event in life(number)]
    with tempfile.TemporaryDirectory() as directory:
        single, batched = (JsonlEventLog(f"{directory}/{name}.jsonl") for name in ("single", "batched"))

        def one_by_one() -> None:
            for event in events:
                single.append_lines([line(event, time.time())])

        def in_batches() -> None:
            for first in range(0, len(events), 500):
                now = time.time()
                batched.append_lines([line(event, now) for event in events[first : first + 500]])

        def fold() -> None:
            assert len(History.of(single.replay()).jobs) == len(events) // 3

        timed: dict[str, Callable[[], None]] = {
            "written one at a time": one_by_one,
            "written 500 at a time": in_batches,
            "read and folded": fold,
        }
        return {name: len(events) / _seconds(work) for name, work in timed.items()}


def _seconds(work: Callable[[], None]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def driver_cpu(members: int, directory: str, *, telemetry: bool) -> dict[str, float]:
    """Return the seconds of CPU that a driver uses for an ensemble."""
    os.environ["SMARTSIM_FLAG_TELEMETRY"] = str(int(telemetry))
    return _run("smartsim", members, directory)


def compare(members: int, rounds: int, parent: str) -> None:
    """Print what the driver uses with and without telemetry, in a directory for temporary files."""
    pairs = []
    with tempfile.TemporaryDirectory(dir=parent) as directory:
        for number in range(rounds):
            first = bool(number % 2)
            cpu = {on: driver_cpu(members, directory, telemetry=on) for on in (first, not first)}
            pairs.append((cpu[True], cpu[False]))
    print(f"driver, {members} members, {rounds} pairs, in {parent}")
    for name, key in PARTS.items():
        on, off = ([used[key] for used in column] for column in zip(*pairs, strict=True))
        ratio = statistics.median(with_it / without for with_it, without in zip(on, off, strict=True))
        medians = f"{statistics.median(on):.3f} s with telemetry, {statistics.median(off):.3f} s without (medians)"
        print(f"{name:<32} {medians}, with / without: {ratio:.3f} (median), {min(on) / min(off):.3f} (least of each)")


def sample_cpu() -> float:
    """Return the seconds of CPU that one sample of a database takes."""
    from smartsim.adapters.database.valkey import ValkeyServer
    from smartsim.adapters.filesystem.posix import PosixFileSystem
    from smartsim.app.database_samples import tables

    with tempfile.TemporaryDirectory() as directory, Experiment("bench", directory) as exp:
        database = exp.create_database(port=0, interface="lo")
        exp.start(database)
        service = database.service
        assert service is not None
        (shard,) = service.shards
        server, files = ValkeyServer(), PosixFileSystem()

        def sample() -> None:
            usage = server.usage(shard.address, service.credentials, 5.0, lists_clients=True)
            for name, (_, rows) in tables(usage, 0).items():
                files.append(f"{directory}/{name}", "".join(f"{row}\n" for row in rows).encode())

        sample()
        begin = time.process_time()
        for _ in range(SAMPLES):
            sample()
        return (time.process_time() - begin) / SAMPLES


def main() -> None:
    """Measure."""
    members, rounds = (int(word) for word in (*sys.argv[1:], *(str(MEMBERS), str(ROUNDS))[len(sys.argv) - 1 :]))
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    for name, rate in rates().items():
        print(f"{name:<24} {rate:>9,.0f} events/s")
    for parent in dict.fromkeys((IN_MEMORY, tempfile.gettempdir())):
        if os.path.isdir(parent):
            compare(members, rounds, parent)
    print(f"one sample of a database: {sample_cpu() * 1e3:.2f} ms CPU")


if __name__ == "__main__":
    main()
