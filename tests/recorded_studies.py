"""Records of large experiments that never ran: what every face shows, by the thousand.

    python tests/recorded_studies.py DIRECTORY [MEMBERS]

An hour of a study on 64 nodes: a database of three shards, three ensembles and a few models alone. Of each hundred
members most have completed, some run or wait, a few were stopped, and five failed, each in a way of its own and with
its output on disk; a few of those were started again. What is made depends on the seed and the time alone.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from smartsim.adapters.eventlog.jsonl import JsonlEventLog
from smartsim.domain import record
from smartsim.domain.metrics import JobsSampled, JobUsage, LargeKey, ModelSampled, ServersSampled, SlowCall
from smartsim.domain.record_facts import (
    BatchOptions,
    DatabaseFacts,
    EnsembleFacts,
    Files,
    MLObject,
    RunOptions,
    ShardFacts,
)
from smartsim.domain.resources import Share

EXPERIMENT = "climate"
SHARDS = 3
HOUR = 3600.0
MARKUP = "<img src=x onerror=alert(1)>"
"""The name of a model; no face may run what it says."""
_NODES, _CORES, _AT_ONCE = 64, 32, 2048
_SLOTS = 16384
_PARAMETERS = {"dt": ("0.1", "0.2", "0.5"), "viscosity": ("1e-3", "1e-4", "1e-5", "1e-6"), "solver": ("cg", "gmres")}
_BEGINNINGS = {"spinup": 10, "sweep": 60, "hires": 600}  # seconds after that of the experiment, of each ensemble
_MPI_ABORT = "MPI_ABORT was invoked on rank 17 in communicator MPI_COMM_WORLD\nwith errorcode 1.\n"
_TRACEBACK = """Traceback (most recent call last):
  File "solver.py", line 88, in <module>
    main()
  File "solver.py", line 41, in main
    field = step(field, dt)
FloatingPointError: overflow encountered in multiply
"""


@dataclass(frozen=True)
class Failure:
    """A way to fail: the exit code, the reason in the record, and what stands in the standard error."""

    returncode: int | None
    reason: str
    stderr: str


FAILURES = (
    Failure(1, "exit code 1", "step 1041: dt is too large\n" * 12 + _TRACEBACK),
    Failure(-11, "killed by SIGSEGV", "srun: error: node0007: task 3: Segmentation fault (core dumped)\n"),
    Failure(-9, "out of memory: Slurm's state is OUT_OF_MEMORY", "slurmstepd: error: Detected 1 oom_kill event.\n"),
    Failure(None, "its walltime was over: Slurm's state is TIMEOUT", "slurmstepd: error: *** DUE TO TIME LIMIT ***\n"),
    Failure(1, "exit code 1", "reading mesh\n" * 40 + _MPI_ABORT),
    Failure(127, "exit code 127", "/bin/sh: 1: solver: not found\n"),
    Failure(2, "exit code 2", f"cannot open <b>mesh</b>.nc {MARKUP}\x1b[31m red \x00\xff bell\a\n"),
)


@dataclass
class Study:
    """What is made of one experiment, event by event.

    Args:
        directory: of the experiment.
        began: when, in seconds since the epoch.
        chance: for all that differs between members.
        events: so far.
        running: the steps that run at the end, in the order of their starts.
    """

    directory: Path
    began: float
    chance: random.Random
    events: list[record.Event] = field(default_factory=list)
    running: list[str] = field(default_factory=list)
    _steps: int = 0

    def step(self, entity: str) -> str:
        """Return the name of a start that no other has."""
        self._steps += 1
        return f"{entity}-DN1RW{self._steps:07d}"

    def log(self, path: str, text: str) -> None:
        """Write a file of an entity."""
        file = self.directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode("latin-1"))  # so that some of it is no UTF-8


def record_study(directory: str | Path, members: int, now: float | None = None, seed: int = 1) -> None:
    """Write the record, the samples and some output of an experiment, as if it went on at this moment.

    Args:
        directory: of the experiment; it is made.
        members: how many models it has.
        now: the time, in seconds since the epoch; by default that of the clock.
        seed: for all that differs between members.
    """
    now = time.time() if now is None else now
    study = Study(Path(directory), now - HOUR, random.Random(seed))  # noqa: S311 - nothing secret
    study.events.append(record.Opened(study.began, EXPERIMENT, "slurm", "login1.example.org", 4711, "1.0.0"))
    _start_database(study)
    shares = {"spinup": members // 10, "hires": members // 10}
    shares["sweep"] = members - sum(shares.values()) - 2
    for name, count in shares.items():
        _start_ensemble(study, name, count, now)
    _start_models(study, now)
    _write(study, "events", sorted(study.events, key=lambda event: event.at))
    _write(study, "metrics", list(_samples(study)))


def _write(study: Study, name: str, events: Sequence[record.Event]) -> None:
    log = JsonlEventLog(str(study.directory / f".smartsim/{name}.jsonl"))
    for first in range(0, len(events), 1000):
        log.append([record.write(event, event.at + 0.01) for event in events[first : first + 1000]])


def _outputs(run_id: str, group: str, entity: str) -> str:
    """Return where the output of an entity goes, relative to the experiment, less the suffix."""
    return f".smartsim/telemetry/{EXPERIMENT}/{run_id}/{group}/{entity}/{entity}"


def _start_database(study: Study) -> None:
    at, run_id = study.began + 2, "5a641e7f3464"
    database = DatabaseFacts("orchestrator", "orchestrator", ("ib0",), SHARDS)
    outputs = f".smartsim/telemetry/{EXPERIMENT}/{run_id}"
    study.events.append(record.Launching(at, run_id, outputs, (), (database,)))
    shards = []
    for number in range(SHARDS):
        entity = f"orchestrator_{number}"
        step, path = study.step(entity), _outputs(run_id, "database/orchestrator", entity)
        study.events += [
            record.Submitted(
                *(at, entity, "DBNode", step),
                run_id=run_id,
                database="orchestrator",
                command=("python", "-P", "-m", "smartsim.app.shard", f"orchestrator/{entity}.json"),
                directory="orchestrator",
                stdout=f"{path}.out",
                stderr=f"{path}.err",
            ),
            record.Started(at + 1, entity, step, f"880{number}", (Share(_node(number), 1, (0, 1)),)),
        ]
        study.log(f"{path}.out", "Server initialized\nReady to accept connections tcp\n")
        slots = (number * _SLOTS // SHARDS, (number + 1) * _SLOTS // SHARDS - 1)
        shards.append(ShardFacts(entity, f"10.0.0.{number + 1}", 6780, number, slots))
    study.events.append(record.DatabaseReady(at + 3, "orchestrator", "9.1.2", tuple(shards)))
    study.events.append(record.Launched(at + 3, run_id))


def _start_ensemble(study: Study, name: str, count: int, now: float) -> None:
    run_id, at = f"{sum(map(ord, name)):012x}", study.began + _BEGINNINGS[name]
    batch = BatchOptions("sbatch", {"nodes": str(_NODES), "time": "04:00:00"})
    facts = EnsembleFacts(name, name, {key: list(values) for key, values in _PARAMETERS.items()}, batch)
    outputs = f".smartsim/telemetry/{EXPERIMENT}/{run_id}"
    study.events.append(record.Launching(at, run_id, outputs, (facts,)))
    for number in range(count):
        _live(study, _facts(study, f"{name}_{number}", number, at, run_id, name), number, now)
    study.events.append(record.Launched(at + count / 1000, run_id))


def _start_models(study: Study, now: float) -> None:
    run_id, at = "7d68c3f459eb", study.began + 900
    study.events.append(record.Launching(at, run_id, f".smartsim/telemetry/{EXPERIMENT}/{run_id}"))
    for number, name in enumerate(("post processing", MARKUP)):
        _live(study, _facts(study, name, number, at, run_id, ""), number, now)
    study.events.append(record.LaunchFailed(at + 5, run_id, "the node node0063 does not answer"))


def _live(study: Study, facts: record.Submitted, number: int, now: float) -> None:
    """Add all that happened to a member."""
    chance, who = study.chance, (facts.entity, facts.step)
    queued = facts.at + 0.2
    started = queued + chance.uniform(1, 20) + 240 * (number // _AT_ONCE)
    ended = started + chance.lognormvariate(5.5, 0.6)
    fate = chance.random()
    study.events.append(facts)
    if fate < 0.01:
        return  # it was just submitted
    study.events.append(record.Queued(queued, *who, facts.batch_job and str(700000 + number)))
    if fate < 0.09 or started > now:
        return
    first = number * 4 % _CORES
    share = Share(_node(number), 4, tuple(range(first, first + 4)))
    study.events.append(record.Started(started, *who, f"4242.{number}", (share,)))
    if fate < 0.19 or ended > now:
        study.running.append(facts.step)
        study.log(facts.stdout, "".join(f"step {step}: residual {2.0**-step:.3e}\n" for step in range(20)))
        if fate < 0.1:
            study.events.append(record.Suspended(now - 30, *who))
    elif fate < 0.21:
        study.events.append(record.StopRequested(ended, *who, "the user"))
        after = ended + chance.uniform(0.1, 5)
        study.events.append(record.Ended(after, *who, "Cancelled", -15, "stopped by the user", "the user"))
    elif fate < 0.26:
        _fail(study, facts, ended, again=fate < 0.22 and ended + 60 < now)
    else:
        study.events.append(record.Ended(ended, *who, "Completed", 0))


def _fail(study: Study, facts: record.Submitted, ended: float, *, again: bool) -> None:
    failure = study.chance.choice(FAILURES)
    study.log(facts.stdout, f"{facts.entity} begins\n")
    study.log(facts.stderr, failure.stderr)
    study.events.append(record.Ended(ended, facts.entity, facts.step, "Failed", failure.returncode, failure.reason))
    if again:
        second = replace(facts, at=ended + 10, step=study.step(facts.entity), run=1)
        started = record.Started(ended + 12, facts.entity, second.step, "4243.0")
        study.events += [second, started, record.Ended(ended + 50, facts.entity, second.step, "Completed", 0)]


def _facts(study: Study, entity: str, number: int, at: float, run_id: str, ensemble: str) -> record.Submitted:
    path = _outputs(run_id, f"ensemble/{ensemble}" if ensemble else "model", entity)
    options = RunOptions(("/opt/solver/bin/solver",), ("--input", "params.nml"), "srun", {"ntasks": "4"})
    params = {name: values[number // 3 % len(values)] for name, values in _PARAMETERS.items()}
    params["seed"] = str(number)
    return record.Submitted(
        *(at + number / 1000, entity, "Model", study.step(entity)),
        run_id=run_id,
        ensemble=ensemble,
        command=("srun", "--ntasks=4", "/opt/solver/bin/solver", "--input", "params.nml", f"--seed={number}"),
        directory=f"{ensemble or '.'}/{entity}",
        stdout=f"{path}.out",
        stderr=f"{path}.err",
        batch_job=f"{ensemble}-DN1RW" if ensemble else "",
        batch_script=f"{ensemble}/{ensemble}.sh" if ensemble else "",
        params=params,
        files=Files(copy=("/data/mesh.nc",), configure=("params.nml",)),
        key_prefixing=bool(ensemble),
        settings=options,
        ml_models=(MLObject("surrogate", "TORCH", "GPU"),) if ensemble == "hires" else (),
    )


def _node(number: int) -> str:
    return f"node{number % _NODES:04d}"


def _samples(study: Study) -> Iterator[record.Event]:
    """Yield a sample of everything for each half minute of the hour; of the jobs, 50 of those that run at its end."""
    chance, interval = study.chance, 30.0
    for point in range(1, int(HOUR / interval)):
        at = study.began + point * interval
        for number in range(SHARDS):
            yield _server_sample(chance, number, at, point)
            yield _model_sample(chance, number, at, point)
        usage = (
            JobUsage(step, point * interval * 3.7, int(2e9 + chance.uniform(0, 2e8)), 4) for step in study.running[:50]
        )
        yield JobsSampled(at, jobs=tuple(usage))


def _server_sample(chance: random.Random, number: int, at: float, point: int) -> ServersSampled:
    commands = point * 30_000 + number * 1000
    p50 = chance.uniform(20, 30)
    keys = tuple(LargeKey(f"{{field_{rank}}}", "AI_TENSOR", 10**8 // (rank + 1)) for rank in range(8))
    return ServersSampled(
        *(at, "orchestrator", f"orchestrator_{number}"),
        used_memory=int(1e8 + point * 1e7 + chance.uniform(0, 5e6)),
        peak_memory=int(1.2e8 + point * 1e7),
        total_memory=256 * 2**30,
        clients=64 + chance.randrange(16),
        keys=100 * point,
        commands=commands,
        hits=commands // 2,
        misses=commands // 100,
        bytes_in=commands * 4096,
        bytes_out=commands * 8192,
        calls={"ai.tensorset": commands // 2, "ai.tensorget": commands // 2},
        latencies={"ai.tensorset": (p50, 4 * p50, 20 * p50), "ai.tensorget": (p50 / 2, 2 * p50, 9 * p50)},
        slow=(SlowCall(at - 3, 15_000, ("AI.TENSORSET", f"field_{point}", "FLOAT")),) if point % 20 == 0 else (),
        largest_keys=keys if point % 10 == 1 else (),
    )


def _model_sample(chance: random.Random, number: int, at: float, point: int) -> ModelSampled:
    calls = point * 1200
    return ModelSampled(
        *(at, "orchestrator", f"orchestrator_{number}", "surrogate"),
        backend="TORCH",
        device="GPU",
        calls=calls,
        errors=point // 40,
        queue_seconds=calls * 0.0004,
        run_seconds=calls * 0.0011,
        queue_length=chance.randrange(6),
        workers=1,
        batch_sizes={"1": calls // 8, "2": calls // 8, "4": calls // 16, "8": calls // 32, "inf": 0},
    )


if __name__ == "__main__":
    record_study(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 10_000)
    print(os.path.abspath(sys.argv[1]))  # noqa: T201 - this is what a script says
