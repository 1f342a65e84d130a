"""How fast an ensemble is launched on a real Slurm, against a plain loop that puts `srun` into the background.

The Slurm is one of its own on this machine, with four nodes of four CPUs (`tests/clusters`). The members run
`/bin/true`: as steps in an allocation of all nodes, as steps of one batch job, and as elements of a job array. The loop
runs as many in a batch job of all nodes. It is there that `srun` waits well: started on a host that is none of Slurm's
nodes, it is not told that there is room, and looks again after a minute. Each round is a fresh interpreter. All take
turns. Medians.

The time of an ensemble is from its creation to the return of `start(block=True)`. Steps are compared with the loop
from its first line to its last, jobs with the loop from its submission. An array that is written by hand, up to the end
of its last element, shows what Slurm itself takes to start so many jobs. The driver's CPU time is its own, without that
of the programs that it starts. What is written stays until the end: a file system without a journal is slow to make new
files for a minute after many were removed.

Then a hundred jobs that take about a minute: how often the driver asks Slurm. What counts stands before `squeue` and
its kin on the PATH.

With `--record`, instead of all that: the driver's CPU time with telemetry on and off.

    python benchmarks/slurm.py [--quick] [--record]
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING

from tabulate import tabulate
from tensors import machine

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from schedulers import Slurm, running_process

if TYPE_CHECKING:
    from smartsim import Experiment
    from smartsim.entity import Ensemble
    from smartsim.settings import RunSettings

MEMBERS, ROUNDS = 200, 7
QUICK_MEMBERS, QUICK_ROUNDS = 20, 1
JOBS, JOB_SECONDS = 100, 8  # on 16 CPUs
QUICK_JOBS, QUICK_JOB_SECONDS = 20, 1
DEADLINE = 600.0
LARGEST_CPU = 0.010  # seconds of the driver for a member
MOST_QUERIES = 10
QUERIES = ("squeue", "sacct", "scontrol", "sinfo")
ALL_NODES = ("--nodes=4", "--ntasks-per-node=4", "--mem=0", "--time=30")
LOOP = """#!/bin/bash
begin=$EPOCHREALTIME
for ((member = 0; member < $1; member++)); do
    {
        srun --nodes=1 --ntasks=1 --exact --mem=100 /bin/true > "$2/$member.out" 2> "$2/$member.err" ||
            echo "$member" >> "$2/failed"
    } &
done
wait
echo "$begin $EPOCHREALTIME" > "$2/times"
"""
ELEMENT = """#!/bin/bash
/bin/true && echo "$EPOCHREALTIME" > "$1/$SLURM_ARRAY_TASK_ID"
"""
COUNTER = """#!/bin/bash
echo "$0" >> {counts}
exec {program} "$@"
"""
KINDS = ("steps of an allocation", "one batch job", "a job array")
COLUMNS = ("", "seconds", "tasks/s", "to the loop", "to an array by hand", "driver's CPU a member", "targets")
BASELINES = ("the loop", "the loop, submitted", "an array by hand")


def ensemble_of(exp: Experiment, kind: str, members: int) -> Ensemble:
    """Return the members of a kind."""
    task = exp.create_run_settings("/bin/true")
    task.set_nodes(1)
    task.set_tasks(1)
    if kind == "steps of an allocation":
        return exp.create_ensemble("e", run_settings=task, replicas=members)
    if kind == "one batch job":
        batch = exp.create_batch_settings(nodes=4, time="00:30:00", batch_args={"ntasks-per-node": "4", "mem": "0"})
        task.set_memory_per_node(100)
        return exp.create_ensemble("e", batch_settings=batch, run_settings=task, replicas=members)
    return array_of(exp, exp.create_run_settings("/bin/true", run_command=""), members)


def array_of(exp: Experiment, settings: RunSettings, members: int) -> Ensemble:
    """Return members that are elements of a job array, of one CPU each."""
    batch = exp.create_batch_settings(nodes=1, time="00:30:00")
    batch.set_array()
    return exp.create_ensemble("e", batch_settings=batch, run_settings=settings, replicas=members)


def launch(kind: str, members: int, directory: str, seconds: float = 0.0) -> Mapping[str, float]:
    """Launch an ensemble, in this process; with some seconds, as jobs that take so long."""
    from smartsim import Experiment
    from smartsim.log import get_logger
    from smartsim.status import SmartSimStatus

    get_logger("bench", log_level="warning").setLevel("WARNING")
    begin, before = time.perf_counter(), _cpu()
    exp = Experiment("bench", directory, launcher="slurm")
    if seconds:
        sleep = exp.create_run_settings("sleep", [str(seconds)], run_command="")
        ensemble = array_of(exp, sleep, members)
    else:
        ensemble = ensemble_of(exp, kind, members)
    exp.start(ensemble, block=True)
    took, cpu = time.perf_counter() - begin, _cpu() - before
    failed = sum(status is not SmartSimStatus.STATUS_COMPLETED for status in exp.get_status(ensemble))
    return {"seconds": took, "cpu": cpu, "failed": failed}


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def launched(
    slurm: Slurm, kind: str, members: int, seconds: float = 0.0, path: Path | None = None
) -> Mapping[str, float]:
    """Launch an ensemble in a process of its own.

    Args:
        slurm: where.
        kind: one of `KINDS`.
        members: how many.
        seconds: that each takes.
        path: what stands before the programs on the PATH.
    """
    words = [sys.executable, __file__, "--round", kind, str(members), str(_directory(slurm)), str(seconds)]
    if kind == "steps of an allocation":
        words = ["salloc", "--quiet", *ALL_NODES, *words]
    # As after an installation: with compiled bytecode, which the first round leaves behind.
    own = {name: value for name, value in slurm.environment.items() if name != "PYTHONDONTWRITEBYTECODE"}
    if path is not None:
        own["PATH"] = f"{path}:{own['PATH']}"
    ended = subprocess.run(words, env=own, capture_output=True, text=True, timeout=DEADLINE, check=False)
    if ended.returncode:
        raise SystemExit(ended.stdout + ended.stderr)
    told: Mapping[str, float] = json.loads(ended.stdout.splitlines()[-1])
    if told["failed"]:
        raise SystemExit(f"{told['failed']:.0f} of {members} members failed as {kind}")
    return told


def _directory(slurm: Slurm) -> Path:
    """Return a new directory, which is removed with the cluster."""
    return Path(tempfile.mkdtemp(dir=slurm.directory))


def record(slurm: Slurm, members: int, rounds: int) -> None:
    """Print the driver's CPU time with telemetry on and off, which take turns."""
    for kind in KINDS:
        used: dict[str, list[float]] = {"0": [], "1": []}
        for number in range(rounds):
            for telemetry in ("01", "10")[number % 2]:
                os.environ["SMARTSIM_FLAG_TELEMETRY"] = telemetry
                used[telemetry].append(launched(slurm, kind, members)["cpu"] * 1e3 / members)
        off, on = (statistics.median(column) for column in used.values())
        least = min(used["1"]) / min(used["0"])
        print(f"{kind}: driver's CPU a member {on:.2f} ms with telemetry, {off:.2f} ms without (medians)", end="")
        print(f"; with / without: {on / off:.3f}, {least:.3f} (least of each)")


def looped(slurm: Slurm, members: int) -> tuple[float, float]:
    """Return the seconds that the loop takes from its first line, and from its submission."""
    directory = _directory(slurm)
    script, times, log = directory / "loop.sh", directory / "times", directory / "log"
    script.write_text(LOOP)
    submitted = time.time()
    slurm.ask("sbatch", "--wait", *ALL_NODES, f"--output={log}", str(script), str(members), str(directory))
    if not times.exists() or (directory / "failed").exists():
        raise SystemExit(f"the loop has failed:\n{log.read_text()}")
    begin, end = map(float, times.read_text().split())
    return end - begin, end - submitted


def arrayed(slurm: Slurm, members: int) -> float:
    """Return the seconds from the submission of a job array, written by hand, to the end of its last element."""
    directory = _directory(slurm)
    script, ends = directory / "element.sh", directory / "ends"
    ends.mkdir()
    script.write_text(ELEMENT)
    submitted = time.time()
    array = (f"--array=0-{members - 1}", "--nodes=1", "--time=30", "--output=/dev/null")
    slurm.ask("sbatch", "--wait", *array, str(script), str(ends))
    written = [float(end.read_text()) for end in ends.iterdir()]
    if len(written) != members:
        raise SystemExit(f"{members - len(written)} of {members} elements of the array by hand failed")
    return max(written) - submitted


def queries(slurm: Slurm, jobs: int, seconds: float) -> tuple[Mapping[str, int], float]:
    """Return how often each program is run that asks Slurm, while a driver has jobs, and for how long it has."""
    directory = _directory(slurm)
    counts = directory / "counts"
    counts.touch()
    for name in QUERIES:
        counter = directory / name
        counter.write_text(COUNTER.format(counts=counts, program=which(name)))
        counter.chmod(0o700)
    took = launched(slurm, "a job array", jobs, seconds, directory)["seconds"]
    names = [Path(line).name for line in counts.read_text().splitlines()]
    return {name: names.count(name) for name in QUERIES if name in names}, took


def main() -> None:
    """Measure."""
    if sys.argv[1:2] == ["--round"]:
        kind, number, directory, seconds = sys.argv[2:]
        print(json.dumps(launch(kind, int(number), directory, float(seconds))))
        return
    quick = "--quick" in sys.argv
    members, rounds = (QUICK_MEMBERS, QUICK_ROUNDS) if quick else (MEMBERS, ROUNDS)
    with tempfile.TemporaryDirectory() as directory, running_process("slurm", Path(directory)) as process:
        slurm = Slurm(Path(directory), process)
        if "--record" in sys.argv:
            record(slurm, members, rounds)
            return
        loops: list[tuple[float, ...]] = []
        ours: dict[str, list[Mapping[str, float]]] = {kind: [] for kind in KINDS}
        for _ in range(rounds):
            loops.append((*looped(slurm, members), arrayed(slurm, members)))
            for kind in KINDS:
                ours[kind].append(launched(slurm, kind, members))
        asked, took = queries(slurm, *((QUICK_JOBS, QUICK_JOB_SECONDS) if quick else (JOBS, JOB_SECONDS)))
    rows: list[tuple[str, ...]] = []
    for name, bare in zip(BASELINES, zip(*loops, strict=True), strict=True):
        rows.append((name, f"{statistics.median(bare):.2f}", f"{members / statistics.median(bare):.0f}"))
    for kind in KINDS:
        median = statistics.median(told["seconds"] for told in ours[kind])
        floors = [loop[kind != KINDS[0]] for loop in loops]
        ratio, to_array = (
            statistics.median(told["seconds"] / bare for told, bare in zip(ours[kind], bares, strict=True))
            for bares in (floors, [loop[-1] for loop in loops])
        )
        cpu = statistics.median(told["cpu"] for told in ours[kind]) / members
        verdict = f"{'met' if ratio <= 1 else 'MISSED'} / {'met' if cpu < LARGEST_CPU else 'MISSED'}"
        speed = f"{members / median:.0f}"
        by_hand = f"{to_array:.2f}" if kind == KINDS[-1] else ""
        rows.append((kind, f"{median:.2f}", speed, f"{ratio:.2f}", by_hand, f"{cpu * 1e3:.1f} ms", verdict))
    print(f"{machine()}, load {os.getloadavg()[0]:.1f}")
    print(f"{members} members of /bin/true on 16 CPUs, medians of {rounds} rounds")
    print(tabulate(rows, COLUMNS))
    total = sum(asked.values())
    verdict = "met" if total <= MOST_QUERIES else "MISSED"
    print(f"{JOBS if not quick else QUICK_JOBS} jobs in {took:.0f} s: {total} queries {asked}, target {verdict}")


if __name__ == "__main__":
    main()
