"""How fast an ensemble is launched on a real Slurm, against a plain loop that puts `srun` into the background.

The Slurm is one of its own on this machine, with four nodes of four CPUs (`tests/clusters`). The members run
`/bin/true`: as steps in an allocation of all nodes, as one batch job, and as a job array; the loop runs as many in such
an allocation, with output files of their own. Each round is in a fresh interpreter, from `create_ensemble` to the return
of `start(block=True)`; all take turns. Medians. The driver's CPU time is its own, without that of the programs that it
starts.

Then a hundred jobs that take about a minute: how often the driver asks the scheduler. What counts the queries stands
before `squeue` and its kin on the PATH.

    python benchmarks/schedulers.py [--quick] [members]
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
from typing import TYPE_CHECKING

from tabulate import tabulate
from tensors import machine

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from schedulers import Slurm, running_process

if TYPE_CHECKING:
    from smartsim import Experiment
    from smartsim.entity import Ensemble

ROUNDS, QUICK_ROUNDS = 5, 1
MEMBERS = 200
JOBS, SECONDS = 100, 8  # on 16 CPUs
DEADLINE = 600.0
LARGEST_CPU = 0.010  # seconds of the driver for a member
MOST_QUERIES = 10
QUERIES = ("squeue", "sacct", "scontrol", "sinfo", "sstat")
ALLOCATION = ("salloc", "--quiet", "--nodes=4", "--ntasks=16", "--ntasks-per-node=4", "--time=30")
# What a user writes who knows that steps have to share the allocation.
LOOP = """
begin=$EPOCHREALTIME
for ((member = 0; member < $1; member++)); do
    srun --nodes=1 --ntasks=1 --exact --mem=0 /bin/true > "$2/$member.out" 2> "$2/$member.err" &
done
failed=0
for ((member = 0; member < $1; member++)); do
    wait -n || ((failed++))
done
echo "{\\"begin\\": $begin, \\"end\\": $EPOCHREALTIME, \\"failed\\": $failed}"
"""
COUNTER = """#!/bin/bash
echo "{name}" >> "{counts}"
exec {program} "$@"
"""

Round = Mapping[str, float]


def steps(exp: Experiment, members: int) -> Ensemble:
    """Return members that are steps of the allocation."""
    return exp.create_ensemble("e", run_settings=one_task(exp, "/bin/true"), replicas=members)


def one_job(exp: Experiment, members: int) -> Ensemble:
    """Return members that share a batch job, as steps of it."""
    batch = exp.create_batch_settings(nodes=4, time="00:30:00", batch_args={"ntasks-per-node": "4"})
    return exp.create_ensemble("e", batch_settings=batch, run_settings=one_task(exp, "/bin/true"), replicas=members)


def array(exp: Experiment, members: int, *program: str) -> Ensemble:
    """Return members that are elements of a job array."""
    batch = exp.create_batch_settings(nodes=1, time="00:30:00")
    batch.set_array()
    settings = exp.create_run_settings(*(program or ("/bin/true",)), run_command="")
    return exp.create_ensemble("e", batch_settings=batch, run_settings=settings, replicas=members)


def one_task(exp: Experiment, program: str):
    settings = exp.create_run_settings(program)
    settings.set_nodes(1)
    settings.set_tasks(1)
    return settings


def smartsim_round(kind: str, members: int, directory: str) -> Round:
    """Launch an ensemble through an experiment."""
    from smartsim import Experiment
    from smartsim.log import get_logger
    from smartsim.status import SmartSimStatus

    get_logger("bench", log_level="warning").setLevel("WARNING")
    begin, before = time.perf_counter(), _cpu()
    exp = Experiment("bench", directory, launcher="slurm")
    ensemble = {"steps": steps, "job": one_job, "array": array}[kind](exp, members)
    exp.start(ensemble, block=True)
    seconds, cpu = time.perf_counter() - begin, _cpu() - before
    failed = sum(status is not SmartSimStatus.STATUS_COMPLETED for status in exp.get_status(ensemble))
    return {"seconds": seconds, "cpu": cpu, "failed": failed}


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def run_round(slurm: Slurm, kind: str, members: int) -> Round:
    with tempfile.TemporaryDirectory() as directory:
        words = [sys.executable, __file__, "--round", kind, str(members), directory]
        if kind == "loop":
            words = [*ALLOCATION, "bash", "-c", LOOP, "loop", str(members), directory]
        elif kind == "steps":
            words = [*ALLOCATION, *words]
        ended = slurm.run(*words, deadline=DEADLINE)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        told = json.loads(ended.stdout.splitlines()[-1])
        if kind == "loop":
            told = {"seconds": told["end"] - told["begin"], "cpu": 0, "failed": told["failed"]}
        return told


def main() -> None:
    if sys.argv[1:2] == ["--round"]:
        kind, members, directory = sys.argv[2], int(sys.argv[3]), sys.argv[4]
        print(json.dumps(smartsim_round(kind, members, directory)))
        return
    members = int(sys.argv[1])
    with (
        tempfile.TemporaryDirectory(dir="/tmp/bench6") as directory,
        running_process("slurm", Path(directory)) as process,
    ):
        slurm = Slurm(Path(directory), process)
        for kind in sys.argv[2:]:
            print(kind, run_round(slurm, kind, members), flush=True)


if __name__ == "__main__":
    main()
