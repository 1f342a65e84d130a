"""Steps that share an allocation of a real Slurm: what each of them has, and which of them wait."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from driver_scripts import told_in_allocation
from mpi_libraries import MPICH, OPEN_MPI, Mpi
from schedulers import Slurm

BEGIN = """
import json, os, pathlib, sys, time
from smartsim import Experiment
told = {}
def lines(model):
    return sorted(pathlib.Path(model.path, model.name + ".out").read_text().splitlines())
def shell(program, **options):
    return exp.create_run_settings("bash", ["-c", program], **options)
def statuses(*entities):
    return [status.value for status in exp.get_status(*entities)]
def await_end(*models):
    deadline = time.monotonic() + 60
    while not all(exp.finished(model) for model in models) and time.monotonic() < deadline:
        time.sleep(0.05)
exp = Experiment("study", os.getcwd(), launcher="slurm")
"""


def drive(slurm: Slurm, directory: Path, script: str, *allocation: str) -> dict[str, Any]:
    """Run a driver script in an allocation, and return what it tells."""
    return told_in_allocation(slurm, directory, BEGIN, script, *allocation)


def test_members_wait_for_room_and_are_seen_to_wait(slurm: Slurm, tmp_path: Path) -> None:
    told = drive(
        slurm,
        tmp_path,
        """
        settings = shell("until [ -e ../go ]; do sleep 0.05; done; hostname")
        settings.set_tasks(1)
        ensemble = exp.create_ensemble("member", run_settings=settings, replicas=12)
        exp.generate(ensemble)
        exp.start(ensemble, block=False)
        told["before"] = statuses(ensemble)
        pathlib.Path(ensemble.path, "go").touch()
        exp.poll(0.1)
        told["after"] = statuses(ensemble)
        told["hosts"] = [line for member in ensemble.models for line in lines(member)]
        """,
        "--nodes=2",
        "--ntasks-per-node=4",
    )
    assert told["before"] == ["Running"] * 8 + ["Queued"] * 4
    assert told["after"] == ["Completed"] * 12
    assert len(told["hosts"]) == 12
    assert min(Counter(told["hosts"]).values()) >= 4


def test_ranks_are_where_the_plan_has_them(slurm: Slurm, tmp_path: Path) -> None:
    told = drive(
        slurm,
        tmp_path,
        """
        nodes = sys.argv[1:]
        where = "echo $SLURM_PROCID $(hostname); sleep 1"
        models = []
        for name, tasks, spread, hosts in (("uneven", 5, 2, []), ("named", 1, 0, [0]), ("small", 2, 1, [])):
            settings = shell(where)
            settings.set_tasks(tasks)
            if spread:
                settings.set_nodes(spread)
            if hosts:
                settings.set_hostlist([os.environ["SECOND"]])
            models.append(exp.create_model(name, settings))
        exp.start(*models, block=False)
        told["statuses"] = statuses(*models)
        exp.poll(0.1)
        told["lines"] = {model.name: lines(model) for model in models}
        """.replace('os.environ["SECOND"]', repr(slurm.nodes[1])),
        f"--nodelist={','.join(slurm.nodes[:2])}",
        "--ntasks-per-node=4",
    )
    first, second = slurm.nodes[:2]
    assert told["statuses"] == ["Running", "Running", "Queued"]  # of the second node one CPU is free, of the first too
    assert told["lines"]["uneven"] == [f"0 {first}", f"1 {first}", f"2 {first}", f"3 {second}", f"4 {second}"]
    assert told["lines"]["named"] == [f"0 {second}"]
    assert len({line.split()[1] for line in told["lines"]["small"]}) == 1


def test_steps_have_gpus_of_their_own(slurm: Slurm, tmp_path: Path) -> None:
    told = drive(
        slurm,
        tmp_path,
        """
        program = "echo ${CUDA_VISIBLE_DEVICES:-none}; sleep 1"
        models = []
        for number in range(2):
            settings = shell(program)
            settings.set("gpus-per-node", "1")
            models.append(exp.create_model(f"one{number}", settings))
        without = shell(program)
        without.set("gres", "none")
        without.set_tasks(1)
        silent = shell(program)
        silent.set_tasks(1)
        models += [exp.create_model("without", without), exp.create_model("silent", silent)]
        exp.start(*models, block=False)
        told["statuses"] = statuses(*models)
        exp.poll(0.1)
        told["gpus"] = [lines(model) for model in models]
        """,
        "--nodes=1",
        "--ntasks=4",
        "--gres=gpu:2",
    )
    assert told["statuses"] == ["Running", "Running", "Running", "Queued"]
    assert sorted(told["gpus"][:2]) == [["0"], ["1"]]
    assert told["gpus"][2:] == [["none"], ["0,1"]]


def test_steps_without_a_request_do_not_wait(slurm: Slurm, tmp_path: Path) -> None:
    told = drive(
        slurm,
        tmp_path,
        """
        full = shell("sleep 60")
        full.set_tasks(4)
        running = exp.create_model("full", full)
        exp.start(running, block=False)
        beside = exp.create_model("beside", shell("hostname"))
        exp.start(beside, block=False)
        await_end(beside)
        told["statuses"] = statuses(running, beside)
        exp.stop(running)
        """,
        "--nodes=1",
        "--ntasks=4",
    )
    assert told["statuses"] == ["Running", "Completed"]


@pytest.mark.parametrize("library", [MPICH, OPEN_MPI], ids=lambda library: library.name)
def test_mpirun_starts_ranks_on_the_nodes_of_the_step_beside_those_of_others(
    slurm: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: Mpi
) -> None:
    for name in ("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("PATH", str(Path(library.mpirun).parent), prepend=os.pathsep)
    told = drive(
        slurm,
        tmp_path,
        """
        holds = shell("until [ -e go ]; do sleep 0.05; done")
        holds.set_nodes(2)
        holds.set_tasks(4)
        holding = exp.create_model("holding", holds)
        exp.start(holding, block=False)
        models = []
        for name, tasks, per_node in (("three", 3, 2), ("one", 1, 1)):
            settings = shell("echo ${OMPI_COMM_WORLD_RANK:-$PMI_RANK} $(hostname)", run_command="mpirun")
            settings.set_tasks(tasks)
            settings.set_tasks_per_node(per_node)
            models.append(exp.create_model(name, settings))
        exp.start(*models, block=False)
        await_end(*models)
        told["statuses"] = statuses(holding, *models)
        told["lines"] = [lines(model) for model in models]
        pathlib.Path(holding.path, "go").touch()
        exp.poll(0.1)
        """,
        f"--nodelist={','.join(slurm.nodes[:2])}",
        "--ntasks-per-node=4",
    )
    first, second = slurm.nodes[:2]
    assert told["statuses"] == ["Running", "Completed", "Completed"]
    assert told["lines"] == [[f"0 {first}", f"1 {first}", f"2 {second}"], [f"0 {second}"]]


def test_a_node_that_fails_is_not_used_any_more(slurm: Slurm, tmp_path: Path) -> None:
    first, second = slurm.nodes[:2]
    script = """
        import subprocess
        def model(name, program, tasks, *hosts):
            settings = shell(program)
            settings.set_tasks(tasks)
            if hosts:
                settings.set_hostlist(list(hosts))
            return exp.create_model(name, settings)
        there = model("there", "sleep 60", 2, SECOND)
        wide = model("wide", "sleep 60", 6)
        exp.start(there, wide, block=False)
        told["before"] = statuses(there, wide)
        subprocess.run(["scontrol", "update", f"nodename={SECOND}", "state=down", "reason=test"], check=True)
        await_end(there, wide)
        told["after"] = statuses(there, wide)
        later = [model(f"later{number}", "hostname", 1) for number in range(8)]
        exp.start(*later, block=True)
        told["later"] = [line for one in later for line in lines(one)]
        try:
            exp.start(model("never", "hostname", 8))
        except Exception as error:
            told["refused"] = str(error)
        told["record"] = pathlib.Path(".smartsim/events.jsonl").read_text()
        """
    try:
        told = drive(
            slurm,
            tmp_path,
            script.replace("SECOND", repr(second)),
            "--no-kill",
            f"--nodelist={first},{second}",
            "--ntasks-per-node=4",
            "--exclusive",
        )
    finally:
        with slurm.node_down(second):
            pass  # and up again
    assert told["before"] == ["Running", "Queued"]
    assert told["after"] == ["Failed", "Failed"]
    reasons = [json.loads(line).get("reason", "") for line in told["record"].splitlines()]
    assert f"node failure: {second} failed while it ran there" in reasons
    assert any(f"It had more before {second} failed" in reason for reason in reasons)
    assert told["later"] == [first] * 8
    assert "The allocation has 1 node with 4 CPUs" in told["refused"]
