"""Models that are real programs of MPI, started by mpirun and by srun: in an allocation, in batch jobs, and at home."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from driver_scripts import told_in_allocation
from mpi_libraries import Mpi, ranks_in
from schedulers import Slurm
from smartsim import Experiment
from smartsim.settings import RunSettings
from smartsim.status import SmartSimStatus

COMPLETED, FAILED = SmartSimStatus.STATUS_COMPLETED, SmartSimStatus.STATUS_FAILED
AWKWARD = "a b, 'c' \"d\" $HOME `e` ; f=g \\h"
# Each rank says what it has got, and becomes the program.
TELLING = ["-c", 'printf "<%s>\\n" "$AWKWARD"; exec "$0" "$@"']
# What every driver script of these tests begins with; `told` is what it tells the test in the end.
BEGIN = """
import json, os, pathlib, sys
from smartsim import Experiment
given, told = json.loads(sys.argv[1]), {}
def ranks(command, *arguments):
    words = [*given["telling"], given["program"], *arguments]
    settings = exp.create_run_settings("sh", words, run_command=command, env_vars={"AWKWARD": given["awkward"]})
    if command == "srun":
        settings.set("mpi", given["mpi"])
    return settings
def tell(*models):
    told["statuses"] = [status.name.removeprefix("STATUS_") for status in exp.get_status(*models)]
    told["outputs"] = [pathlib.Path(model.path, model.name + ".out").read_text() for model in models]
    told["errors"] = [pathlib.Path(model.path, model.name + ".err").read_text() for model in models]
    rows = [[cell.strip() for cell in line.split("|")] for line in exp.summary().splitlines()[2:]]
    told["codes"] = {row[2]: row[-2] for row in rows}
exp = Experiment("study", os.getcwd(), launcher="slurm")
"""
SERVED = """
import os, socket
import numpy as np
from smartsim.client import Client
client = Client(cluster=False)
rank = os.environ.get("PMI_RANK") or os.environ["OMPI_COMM_WORLD_RANK"]
client.put_tensor(f"of_{rank}", np.arange(2.0))
client.get_tensor(f"of_{rank}")
print("served", socket.gethostname(), flush=True)
"""


@pytest.fixture
def found(mpi: Mpi, monkeypatch: pytest.MonkeyPatch) -> Mpi:
    """Each of the libraries, whose programs are found by their names."""
    monkeypatch.setenv("PATH", str(Path(mpi.mpirun).parent), prepend=os.pathsep)
    return mpi


def drive(slurm: Slurm, mpi: Mpi, program: str, directory: Path, script: str) -> dict[str, Any]:
    """Run a driver script in an allocation of two nodes, and return what it tells."""
    given = {"program": program, "awkward": AWKWARD, "telling": TELLING, "mpi": mpi.slurm}
    nodes = ("--nodes=2", "--ntasks-per-node=4")
    return told_in_allocation(slurm, directory, BEGIN, script, *nodes, arguments=(json.dumps(given),))


def assert_spread(slurm: Slurm, text: str, each: int = 2) -> None:
    """Assert that two nodes have so many ranks each, and all of them have got the variable."""
    hosts = ranks_in(text, 2 * each)
    assert len(set(hosts)) == 2
    assert set(hosts) <= set(slurm.nodes)
    assert {hosts.count(host) for host in hosts} == {each}
    assert text.count(f"<{AWKWARD}>") == 2 * each


def output(model: Any, ending: str = ".out") -> str:
    return Path(model.path, f"{model.name}{ending}").read_text()


@pytest.mark.parametrize("command", ["mpirun", "srun"])
def test_ranks_of_a_step_find_one_another_on_two_nodes(
    slurm: Slurm, found: Mpi, allreduce: Mapping[str, str], tmp_path: Path, command: str
) -> None:
    told = drive(
        slurm,
        found,
        allreduce[found.name],
        tmp_path,
        f"""
        models = []
        for name, arguments in (("good", ()), ("bad", ("7",))):
            settings = ranks("{command}", *arguments)
            settings.set_tasks(4)
            settings.set_tasks_per_node(2)
            models.append(exp.create_model(name, settings))
        exp.start(*models, block=True)
        tell(*models)
        """,
    )
    assert told["statuses"] == ["COMPLETED", "FAILED"], told["errors"]
    assert told["codes"] == {"good": "0", "bad": "7"}
    for text in told["outputs"]:
        assert_spread(slurm, text)


def test_several_programs_are_one_world(slurm: Slurm, found: Mpi, allreduce: Mapping[str, str], tmp_path: Path) -> None:
    told = drive(
        slurm,
        found,
        allreduce[found.name],
        tmp_path,
        """
        one = ranks("mpirun")
        one.set_tasks(1)
        other = exp.create_run_settings(given["program"], run_command="mpirun")
        other.set_tasks(2)
        one.make_mpmd(other)
        model = exp.create_model("m", one)
        exp.start(model, block=True)
        tell(model)
        """,
    )
    assert told["statuses"] == ["COMPLETED"], told["errors"]
    assert set(ranks_in(told["outputs"][0], 3)) <= set(slurm.nodes)
    assert told["outputs"][0].count(f"<{AWKWARD}>") == 1


def test_each_node_of_mpirun_has_a_colocated_database(
    slurm: Slurm, found: Mpi, allreduce: Mapping[str, str], tmp_path: Path
) -> None:
    (tmp_path / "served.py").write_text(SERVED)
    told = drive(
        slurm,
        found,
        allreduce[found.name],
        tmp_path,
        """
        program = f"{sys.executable} {os.path.abspath('served.py')} && exec {given['program']}"
        settings = exp.create_run_settings("sh", ["-c", program], run_command="mpirun")
        settings.set_tasks(4)
        settings.set_tasks_per_node(2)
        model = exp.create_model("m", settings)
        model.colocate_db_uds(db_cpus=1, debug=True)
        exp.start(model, block=True)
        tell(model)
        """,
    )
    (text,), (errors,) = told["outputs"], told["errors"]
    assert told["statuses"] == ["COMPLETED"], errors
    hosts = ranks_in(text, 4)
    assert len(set(hosts)) == 2
    assert sorted(line.split()[1] for line in text.splitlines() if line.startswith("served")) == sorted(hosts)
    assert errors.count("m: database at") == 2  # one for each node


@pytest.mark.parametrize("command", ["mpirun", "srun"])
def test_ranks_in_a_batch_job_find_one_another_on_two_nodes(
    slurm: Slurm, found: Mpi, allreduce: Mapping[str, str], tmp_path: Path, command: str
) -> None:
    exp = Experiment("study", str(tmp_path), launcher="slurm")
    models = []
    for name, arguments in (("good", []), ("bad", ["7"])):
        words = [*TELLING, allreduce[found.name], *arguments]
        settings = exp.create_run_settings("sh", words, run_command=command, env_vars={"AWKWARD": AWKWARD})
        settings.set_tasks(4)
        settings.set_tasks_per_node(2)
        if command == "srun":
            settings.set("mpi", found.slurm)
        batch = exp.create_batch_settings(nodes=2, time="00:05:00", batch_args={"ntasks-per-node": "2"})
        models.append(exp.create_model(name, settings, batch_settings=batch))
    exp.start(*models, block=True)
    assert exp.get_status(*models) == [COMPLETED, FAILED], [output(model, ".err") for model in models]
    assert codes(exp) == {"good": "0", "bad": "7"}
    for model in models:
        assert_spread(slurm, output(model))


def test_ranks_find_one_another_without_a_scheduler(found: Mpi, allreduce: Mapping[str, str], tmp_path: Path) -> None:
    exp = Experiment("study", str(tmp_path), launcher="local")

    def settings(*arguments: str) -> RunSettings:
        words = [*TELLING, allreduce[found.name], *arguments]
        made = exp.create_run_settings("sh", words, run_command="mpirun", env_vars={"AWKWARD": AWKWARD})
        made.set_tasks(3)
        return made

    models = [exp.create_model("good", settings()), exp.create_model("bad", settings("7"))]
    exp.start(*models, block=True)
    assert exp.get_status(*models) == [COMPLETED, FAILED], [output(model, ".err") for model in models]
    assert codes(exp) == {"good": "0", "bad": "7"}
    for model in models:
        assert ranks_in(output(model), 3) == [socket.gethostname()] * 3
        assert output(model).count(f"<{AWKWARD}>") == 3


def codes(exp: Experiment) -> dict[str, str]:
    """Return the exit codes of what has run, by name."""
    rows = [[cell.strip() for cell in line.split("|")] for line in exp.summary().splitlines()[2:]]
    return {row[2]: row[-2] for row in rows}
