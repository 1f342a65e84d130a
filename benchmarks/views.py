"""What it costs to see what runs: reading and folding a record, views of it, and the memory of a reader.

Each size in a fresh interpreter, with records of six events a member. The baseline, in the same one: `json.loads` of
each line, and nothing else. Times are CPU, the least of several rounds; memory is what is resident, less what the
interpreter has before anything is imported.

    python benchmarks/views.py [members]...
"""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

MEMBERS = (1_000, 10_000)
ROUNDS = 5
BATCH = 500
_ALONE = "--alone"


def resident() -> float:
    """Return the memory of this process, in MB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 1e6


def write_record(directory: str, members: int) -> None:
    """Write the record of an ensemble."""
    from smartsim.adapters.eventlog.jsonl import JsonlEventLog
    from smartsim.domain import record
    from smartsim.domain.record_facts import EnsembleFacts, RunOptions

    log, now = JsonlEventLog(f"{directory}/.smartsim/events.jsonl"), time.time()
    ensemble = EnsembleFacts("e", "e", {"x": list(range(members))})
    opened = record.Opened(now, "study", "slurm", os.uname().nodename, os.getpid())
    log.append([record.write(event, now) for event in (opened, record.Launching(now, "r1", ensembles=(ensemble,)))])
    lines = []
    for number in range(members):
        entity, step = f"e_{number}", f"e_{number}-DN1PE3W785XC"
        outputs = f".smartsim/telemetry/study/06b218ebf351/ensemble/e/{entity}"
        submitted = record.Submitted(
            now + number / 100,
            entity,
            "Model",
            step,
            run_id="r1",
            ensemble="e",
            command=("srun", "--ntasks=4", "/opt/solver/bin/solver", "--input", "params.nml", f"--seed={number}"),
            directory=f"e/{entity}",
            stdout=f"{outputs}/{entity}.out",
            stderr=f"{outputs}/{entity}.err",
            params={"x": str(number), "solver": ("cg", "gmres")[number % 2], "dt": "0.1"},
            settings=RunOptions(("/opt/solver/bin/solver",), ("--input", "params.nml"), "srun", {"ntasks": "4"}),
        )
        at = submitted.at
        events = (
            submitted,
            record.Queued(at + 1, entity, step, str(number)),
            record.Started(at + 2, entity, step, str(number)),
            record.Suspended(at + 3, entity, step),
            record.Resumed(at + 4, entity, step),
            record.Ended(at + 60, entity, step, *(("Failed", 1) if number % 20 == 0 else ("Completed", 0))),
        )
        lines += [record.write(event, now) for event in events]
    for first in range(0, len(lines), BATCH):
        log.append(lines[first : first + BATCH])


def least(work: Callable[[], object]) -> float:
    """Return the seconds of CPU that some work takes, at best."""
    taken = []
    for _ in range(ROUNDS):
        begin = time.process_time()
        work()
        taken.append(time.process_time() - begin)
    return min(taken)


def measure(directory: str) -> dict[str, float]:
    """Return milliseconds of each thing that faces do, and megabytes, of the record in a directory."""
    bare = resident()
    from smartsim.app.reading import ExperimentReader
    from smartsim.domain.views.heat_map import heat_map
    from smartsim.domain.views.overview import overview
    from smartsim.domain.views.table import Query, page
    from smartsim.domain.views.timeline import load, timeline

    path, now = Path(directory, ".smartsim/events.jsonl"), time.time()
    reader = ExperimentReader(directory)
    memory = resident() - bare
    history = reader.history

    def parse_alone() -> None:
        with path.open("rb") as stream:
            for line in stream:
                json.loads(line)

    timed: dict[str, Callable[[], object]] = {
        "json.loads of each line (baseline)": parse_alone,
        "read and fold": lambda: ExperimentReader(directory),
        "refresh, nothing new": reader.refresh,
        "overview": lambda: overview(history),
        "page, by name": lambda: page(history, Query(), now),
        "page, by a parameter": lambda: page(history, Query(sort="params.x", descending=True), now),
        "page, with a text": lambda: page(history, Query(text="gmres"), now),
        "page, as a dictionary": lambda: asdict(page(history, Query(), now)),
        "heat map": lambda: heat_map(history, "e"),
        "timeline": lambda: timeline(history, Query(sort="submitted_at"), now),
        "load": lambda: load(history, now),
    }
    found = {name: 1e3 * least(work) for name, work in timed.items()}
    with path.open("ab") as stream:  # one more event, again and again
        line = path.read_bytes().splitlines(keepends=True)[-1]

        def follow() -> None:
            stream.write(line)
            stream.flush()
            reader.refresh()

        found["refresh, one event"] = 1e3 * least(follow)
    return {**found, "memory of a reader": memory}


def main() -> None:
    """Measure."""
    if sys.argv[1:2] == [_ALONE]:
        print(json.dumps(measure(sys.argv[2])))
        return
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    for members in map(int, sys.argv[1:] or MEMBERS):
        with tempfile.TemporaryDirectory() as directory:
            write_record(directory, members)
            size = Path(directory, ".smartsim/events.jsonl").stat().st_size
            done = subprocess.run([sys.executable, __file__, _ALONE, directory], stdout=subprocess.PIPE, check=True)
        print(f"\n{members:,} members, {6 * members + 2:,} events, {size / 1e6:.1f} MB")
        for name, value in json.loads(done.stdout).items():
            print(f"{name:<36} {value:>10.2f} {'MB' if name.startswith('memory') else 'ms'}")


if __name__ == "__main__":
    main()
