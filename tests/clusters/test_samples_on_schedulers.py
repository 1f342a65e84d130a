"""What schedulers say that jobs use arrives in the samples of an experiment."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from clusters.lookalikes.site import lookalike
from driver_scripts import told_in_allocation
from schedulers import GridEngine, Slurm
from smartsim import Experiment
from smartsim.domain.metrics import JobsSampled, JobUsage, parse

DEADLINE = 90.0
SIZE = 100 * 2**20
MUCH = 3 * SIZE  # the interpreter, and what a scheduler counts twice
WORKS = f"""
import time
data = bytearray({SIZE})
data[::4096] = b"x" * len(data[::4096])
until = time.monotonic() + {DEADLINE}
while time.monotonic() < until:
    pass
"""
DRIVER = """
import json, os, pathlib, sys, time
from smartsim import Experiment
told = {}
exp = Experiment("study", os.getcwd(), launcher="slurm")
"""


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMARTSIM_TELEMETRY_FREQUENCY", "1")


def samples(exp_path: Path) -> list[JobUsage]:
    path = exp_path / ".smartsim" / "metrics.jsonl"
    events = [parse(json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []
    return [usage for event in events if isinstance(event, JobsSampled) for usage in event.jobs]


def sampled(exp_path: Path, names: Iterable[str]) -> dict[str, JobUsage]:
    """Wait until steps whose names begin with some words are seen to have worked, and return what they use."""
    wanted, deadline = set(names), time.monotonic() + DEADLINE
    while True:
        found = {usage.step.partition("-")[0]: usage for usage in samples(exp_path) if usage.cpu_seconds >= 1}
        if found.keys() >= wanted:
            return found
        assert time.monotonic() < deadline, samples(exp_path)
        threading.Event().wait(0.2)


@pytest.fixture
def array(tmp_path: Path) -> Callable[[str], Experiment]:
    """Start an array of two elements."""

    def start(launcher: str) -> Experiment:
        exp = Experiment("study", str(tmp_path), launcher=launcher)
        run_command = "auto" if launcher == "slurm" else ""
        settings = exp.create_run_settings(sys.executable, ["-S", "-c", WORKS], run_command=run_command)
        batch = exp.create_batch_settings(time="00:05:00", batch_args={"mem": "500"} if launcher == "slurm" else None)
        batch.set_array()
        exp.start(exp.create_ensemble("m", batch_settings=batch, run_settings=settings, replicas=2), block=False)
        return exp

    return start


def test_elements_of_an_array_of_slurm(slurm: Slurm, array: Callable[[str], Experiment], tmp_path: Path) -> None:
    del slurm  # the experiment is to find it
    with array("slurm"):
        for usage in sampled(tmp_path, ["m_0", "m_1"]).values():
            assert 1 <= usage.cpu_seconds <= DEADLINE
            assert SIZE <= usage.memory <= MUCH
            assert usage.processes >= 2  # the task, and that of the script


def test_elements_of_an_array_of_grid_engine(
    sge: GridEngine, array: Callable[[str], Experiment], tmp_path: Path
) -> None:
    before = sge.jobs()
    with array("sge"):
        for usage in sampled(tmp_path, ["m_0", "m_1"]).values():
            assert 1 <= usage.cpu_seconds <= DEADLINE
            assert SIZE <= usage.memory <= MUCH
    deadline = time.monotonic() + DEADLINE
    while sge.jobs() - before:  # a job stays in the queue for a moment when its members have ended
        assert time.monotonic() < deadline, "a job stays in the queue"
        threading.Event().wait(0.1)


def test_elements_of_an_array_of_pbs(
    array: Callable[[str], Experiment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with lookalike("pbs", tmp_path / "cluster", {"node1": 4}) as site:
        monkeypatch.setenv("PATH", f"{site.bin}:{os.environ['PATH']}")
        with array("pbs"):
            for usage in sampled(tmp_path, ["m_0", "m_1"]).values():
                assert 1 <= usage.cpu_seconds <= DEADLINE
                assert SIZE <= usage.memory <= MUCH
        site.wait_for(lambda jobs: not any(job.runs for job in jobs))


def test_steps_on_other_nodes_of_an_allocation_of_slurm(slurm: Slurm, tmp_path: Path) -> None:
    (tmp_path / "works.py").write_text(WORKS)
    told = told_in_allocation(
        slurm,
        tmp_path,
        DRIVER,
        f"""
        def model(name, tasks):
            settings = exp.create_run_settings(sys.executable, ["-S", "works.py"], run_args={{"mem-per-cpu": 300}})
            settings.set_tasks(tasks)
            settings.set_nodes(tasks)
            settings.set_tasks_per_node(1)
            made = exp.create_model(name, settings)
            made.attach_generator_files(to_copy=["works.py"])
            return made
        models = [model("one", 1), model("two", 2)]
        with exp:
            exp.generate(*models)
            exp.start(*models, block=False)
            path = pathlib.Path(".smartsim", "metrics.jsonl")
            until = time.monotonic() + {DEADLINE}
            lines = []
            while time.monotonic() < until and not any("two-" in line and "one-" in line for line in lines):
                time.sleep(0.2)
                lines = path.read_text().splitlines() if path.exists() else []
        """,
        "--nodes=2",
        "--ntasks-per-node=4",
    )
    assert told == {}
    found = sampled(tmp_path, ["one", "two"])
    assert found["one"].processes == 1
    assert found["two"].processes == 2
    assert SIZE <= found["one"].memory <= MUCH
    assert 2 * SIZE <= found["two"].memory <= 2 * MUCH
