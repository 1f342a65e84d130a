"""Driver scripts on a real Slurm: in an allocation, and outside with batch jobs."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from driver_scripts import told_in_allocation
from schedulers import Slurm
from smartsim import Experiment
from smartsim.adapters.database.valkey import ValkeyServer
from smartsim.adapters.filesystem.posix import PosixFileSystem
from smartsim.adapters.wlm.own import own_processes
from smartsim.app.leftovers import find_leftovers
from smartsim.app.reaped_jobs import ReapedJobs
from smartsim.app.reaping import reap
from smartsim.error import AllocationError, LauncherError, SmartSimError
from smartsim.error.errors import SSUnsupportedError
from smartsim.settings import MpirunSettings, QsubBatchSettings, RunSettings
from smartsim.status import SmartSimStatus

COMPLETED, FAILED, CANCELLED, RUNNING = (
    SmartSimStatus.STATUS_COMPLETED,
    SmartSimStatus.STATUS_FAILED,
    SmartSimStatus.STATUS_CANCELLED,
    SmartSimStatus.STATUS_RUNNING,
)
# What every driver script of these tests begins with; `told` is what it tells the test in the end.
BEGIN = """
import json, os, pathlib, sys, time
from smartsim import Experiment
told = {}
def output(model, ending=".out"):
    return pathlib.Path(model.path, model.name + ending).read_text()
def statuses(*entities):
    return [status.name.removeprefix("STATUS_") for status in exp.get_status(*entities)]
exp = Experiment("study", os.getcwd(), launcher="slurm")
"""
SERVED = """
import socket, sys
import numpy as np, torch
from smartsim.client import Client
class Twice(torch.nn.Module):
    def forward(self, x):
        return 2 * x
client = Client(cluster=sys.argv[1] == "cluster")
name = sys.argv[2]
client.put_tensor(name, np.arange(4, dtype=np.float32))
import io
blob = io.BytesIO()
torch.jit.save(torch.jit.script(Twice()), blob)
client.set_model(f"model_{name}", blob.getvalue(), "TORCH", "CPU")
client.run_model(f"model_{name}", inputs=[name], outputs=[f"{name}_out"])
print(socket.gethostname(), client.get_tensor(f"{name}_out").tolist())
"""


def drive(slurm: Slurm, directory: Path, script: str, *allocation: str) -> dict[str, Any]:
    """Run a driver script in an allocation, and return what it tells."""
    return told_in_allocation(slurm, directory, BEGIN, script, *allocation)


@pytest.fixture
def exp(slurm: Slurm, tmp_path: Path) -> Experiment:
    del slurm  # the experiment is to find it
    return Experiment("study", str(tmp_path), launcher="slurm")


def shell(exp: Experiment, program: str, **options: Any) -> RunSettings:
    """Return settings for a program of a shell, as one task."""
    settings = exp.create_run_settings("bash", ["-c", program], **options)
    settings.set_nodes(1)
    settings.set_tasks(1)
    return settings


# In an allocation


def test_members_share_an_allocation_and_each_has_its_exit_code(slurm: Slurm, tmp_path: Path) -> None:
    told = drive(
        slurm,
        tmp_path,
        """
        program = "hostname; echo $A; date +%s.%N; sleep 0.5; date +%s.%N; exit ${I%4}"
        settings = exp.create_run_settings("bash", ["-c", "I=${PWD##*_}; " + program.replace("${I%4}", "$((I % 4))")],
                                           env_vars={"A": "one, two 'three' $HOME"})
        settings.set_tasks(1)
        settings.set_cpus_per_task(2)
        ensemble = exp.create_ensemble("member", run_settings=settings, replicas=8)
        exp.generate(ensemble)
        exp.start(ensemble, block=True)
        told["statuses"] = statuses(ensemble)
        told["outputs"] = [output(member).splitlines() for member in ensemble.models]
        told["summary"] = exp.summary()
        """,
        "--nodes=2",
        "--ntasks-per-node=4",
    )
    assert told["statuses"] == ["COMPLETED", "FAILED", "FAILED", "FAILED"] * 2
    assert {words[1] for words in told["outputs"]} == {"one, two 'three' $HOME"}
    hosts = {words[0] for words in told["outputs"]}
    assert len(hosts) == 2
    assert hosts <= set(slurm.nodes)
    for host in hosts:  # of four CPUs, two members at a time have two each
        spans = sorted((float(begin), float(end)) for name, _, begin, end in told["outputs"] if name == host)
        for first, _, third in zip(spans, spans[1:], spans[2:], strict=False):
            assert third[0] >= first[1]


def test_a_request_that_can_never_be_met_is_refused_at_once(slurm: Slurm, tmp_path: Path) -> None:
    told = drive(
        slurm,
        tmp_path,
        """
        from smartsim.error import SmartSimError
        settings = exp.create_run_settings("true")
        settings.set_tasks(99)
        try:
            exp.start(exp.create_model("m", settings), block=True)
        except SmartSimError as error:
            told["error"] = str(error)
        """,
        "--nodes=1",
        "--ntasks=4",
    )
    assert "99" in told["error"]


def test_two_programs_run_as_one_job(slurm: Slurm, tmp_path: Path) -> None:
    told = drive(
        slurm,
        tmp_path,
        """
        one = exp.create_run_settings("bash", ["-c", "echo one $SLURM_PROCID $A"], env_vars={"A": "x, y"})
        one.set_tasks(2)
        two = exp.create_run_settings("bash", ["-c", "echo 'two words' $SLURM_PROCID"])
        two.set_tasks(1)
        one.make_mpmd(two)
        model = exp.create_model("m", one)
        exp.start(model, block=True)
        told["statuses"], told["output"] = statuses(model), sorted(output(model).splitlines())
        """,
        "--nodes=2",
        "--ntasks=8",
    )
    assert told == {"statuses": ["COMPLETED"], "output": ["one 0 x, y", "one 1 x, y", "two words 2"]}


def test_a_step_runs_in_the_component_of_a_het_job_that_it_asks_for(slurm: Slurm, tmp_path: Path) -> None:
    told = drive(
        slurm,
        tmp_path,
        """
        models = []
        for group in (0, 1):
            settings = exp.create_run_settings("bash", ["-c", "hostname"])
            settings.set_het_group([group])
            models.append(exp.create_model(f"m{group}", settings))
        exp.start(*models, block=True)
        told["statuses"] = statuses(*models)
        told["hosts"] = [output(model).split() for model in models]
        """,
        f"--nodelist={slurm.nodes[0]}",
        "--ntasks=1",
        ":",
        "--mem=1800",
        f"--nodelist={slurm.nodes[1]}",
        "--ntasks=1",
    )
    assert told == {"statuses": ["COMPLETED"] * 2, "hosts": [[slurm.nodes[0]], [slurm.nodes[1]]]}


def test_a_step_that_is_stopped_ends_politely_and_counts_as_cancelled(slurm: Slurm, tmp_path: Path) -> None:
    told = drive(
        slurm,
        tmp_path,
        """
        polite = exp.create_run_settings("bash", ["-c", "trap 'echo asked; exit 3' TERM; echo on; sleep 60 & wait"])
        stubborn = exp.create_run_settings("bash", ["-c", "trap '' TERM; echo on; while :; do sleep 1; done"])
        models = []
        for name, settings in (("polite", polite), ("stubborn", stubborn)):
            settings.set_tasks(1)
            models.append(exp.create_model(name, settings))
        exp.start(*models, block=False)
        while "on" not in output(models[0]) or "on" not in output(models[1]):
            time.sleep(0.05)
        exp.stop(*models, grace=1.0)
        told["statuses"], told["output"] = statuses(*models), output(models[0]).split()
        """,
        "--nodes=1",
        "--ntasks=2",
    )
    assert told == {"statuses": ["CANCELLED"] * 2, "output": ["on", "asked"]}


def test_a_clustered_database_runs_on_the_nodes_of_the_allocation(slurm: Slurm, tmp_path: Path) -> None:
    (tmp_path / "served.py").write_text(SERVED)
    told = drive(
        slurm,
        tmp_path,
        """
        with exp:
            database = exp.create_database(db_nodes=3, port=0)
            exp.start(database)
            told["addresses"] = database.get_address()
            settings = exp.create_run_settings(sys.executable, [os.path.abspath("served.py"), "cluster", "x"])
            settings.set_nodes(1)
            settings.set_tasks(4)
            model = exp.create_model("m", settings)
            exp.start(model, block=True)
            told["statuses"], told["output"] = statuses(model, database), output(model)
        told["after"] = statuses(database)
        """,
        "--nodes=4",
        "--ntasks-per-node=4",
    )
    hosts = {address.partition(":")[0] for address in told["addresses"]}
    assert len(hosts) == 3
    assert not any(host.startswith("127.") for host in hosts)
    assert told["statuses"] == ["COMPLETED"] + ["RUNNING"] * 3
    assert [line.partition(" ")[2] for line in told["output"].splitlines()] == ["[0.0, 2.0, 4.0, 6.0]"] * 4
    assert told["after"] == ["CANCELLED"] * 3


def test_every_node_of_a_step_has_a_colocated_database(slurm: Slurm, tmp_path: Path) -> None:
    (tmp_path / "served.py").write_text(
        SERVED.replace("name = sys.argv[2]", "import os; name = os.environ['SLURM_PROCID']")
    )
    told = drive(
        slurm,
        tmp_path,
        """
        settings = exp.create_run_settings(sys.executable, [os.path.abspath("served.py"), "single"])
        settings.set_nodes(2)
        settings.set_tasks(4)
        settings.set_tasks_per_node(2)
        model = exp.create_model("m", settings)
        model.colocate_db_uds(db_cpus=1, debug=True)
        exp.start(model, block=True)
        told["statuses"], told["output"], told["errors"] = statuses(model), output(model), output(model, ".err")
        """,
        "--nodes=2",
        "--ntasks-per-node=4",
    )
    assert told["statuses"] == ["COMPLETED"], told["errors"]
    lines = told["output"].splitlines()
    assert [line.partition(" ")[2] for line in lines] == ["[0.0, 2.0, 4.0, 6.0]"] * 4
    assert len({line.partition(" ")[0] for line in lines}) == 2
    assert told["errors"].count("m: database at") == 2  # one for each node


# Outside, with batch jobs


def test_members_of_a_batch_ensemble_fail_for_themselves(exp: Experiment) -> None:
    batch = exp.create_batch_settings(nodes=2, time="00:05:00", account="testacct")
    batch.add_preamble("export FROM_PREAMBLE='a b'")
    settings = shell(exp, 'echo "$FROM_PREAMBLE $A"; echo wrong >&2; exit ${CODE:-0}', env_vars={"A": "c, 'd' $e"})
    ensemble = exp.create_ensemble("member", batch_settings=batch, run_settings=settings, replicas=3)
    ensemble.models[1].run_settings.update_env({"CODE": 7})
    exp.generate(ensemble)
    exp.start(ensemble, block=True)
    assert exp.get_status(ensemble) == [COMPLETED, FAILED, COMPLETED]
    for member in ensemble.models:
        assert Path(member.path, f"{member.name}.out").read_text() == "a b c, 'd' $e\n"
        assert "wrong" in Path(member.path, f"{member.name}.err").read_text()
    row = next(line for line in exp.summary().splitlines() if "member_1" in line)
    assert [cell.strip() for cell in row.split("|")][-2] == "7"
    assert Path(ensemble.path, "member.sh").read_text().startswith("#!/bin/bash\n")


def test_members_run_as_elements_of_a_job_array(exp: Experiment) -> None:
    batch = exp.create_batch_settings(nodes=1, time="00:05:00")
    batch.set_array()
    settings = shell(exp, 'echo "$SLURM_ARRAY_TASK_ID"; [ "${PWD##*_}" != 2 ]')
    ensemble = exp.create_ensemble("member", batch_settings=batch, run_settings=settings, replicas=4)
    exp.start(ensemble, block=True)
    assert exp.get_status(ensemble) == [COMPLETED, COMPLETED, FAILED, COMPLETED]
    assert [Path(member.path, f"{member.name}.out").read_text().strip() for member in ensemble.models] == list("0123")


def test_one_member_of_a_batch_job_can_be_stopped(exp: Experiment) -> None:
    batch = exp.create_batch_settings(nodes=1, time="00:05:00", batch_args={"cpus-per-task": "2"})
    program = "echo on; while [ ! -e go ]; do sleep 0.1; done"
    ensemble = exp.create_ensemble("member", batch_settings=batch, run_settings=shell(exp, program), replicas=2)
    exp.start(ensemble, block=False)
    one, other = ensemble.models
    exp.stop(one)
    assert exp.get_status(one) == [CANCELLED]
    Path(other.path, "go").touch()
    assert exp.wait(other, timeout=60) == [COMPLETED]


def test_a_database_in_a_batch_job_is_taken_over_by_another_driver(slurm: Slurm, exp: Experiment) -> None:
    database = exp.create_database(batch=True, db_nodes=3, port=0, time="00:05:00")
    database.set_batch_arg("mem", "1800")
    exp.start(database)
    addresses = database.get_address()
    job = next(iter(slurm.jobs()))
    with Experiment("later", exp.exp_path, launcher="slurm") as later:
        found = later.reconnect_orchestrator(database.checkpoint_file)
        assert found.get_address() == addresses
        script = Path(exp.exp_path, "served.py")
        script.write_text(SERVED)
        settings = later.create_run_settings(sys.executable, [str(script), "cluster", "x"])
        settings.set_tasks(1)
        batch = later.create_batch_settings(nodes=1, time="00:05:00", batch_args={"mem": "1800"})
        model = later.create_model("m", settings, batch_settings=batch)
        later.start(model, block=True)
        assert later.get_status(model, found) == [COMPLETED, RUNNING, RUNNING, RUNNING]
        assert "[0.0, 2.0, 4.0, 6.0]" in Path(model.path, "m.out").read_text()
    assert exp.wait(database, timeout=60) == [COMPLETED] * 3  # nobody had asked this driver
    assert slurm.accounting(job, "State") == "COMPLETED"


def test_servers_share_the_hosts_of_a_batch_job_that_are_fewer(slurm: Slurm, exp: Experiment) -> None:
    database = exp.create_database(batch=True, db_nodes=3, port=0, time="00:05:00", hosts=[slurm.nodes[1]])
    database.set_batch_arg("mem", "900")
    exp.start(database)
    assert len(database.hosts) == 3
    assert len(set(database.hosts)) == 1
    exp.stop(database)


def test_a_database_on_nodes_is_listed_with_its_driver_and_saved_before_it_ends(slurm: Slurm, exp: Experiment) -> None:
    granted = slurm.run("salloc", "--no-shell", "--nodes=3", "--mem=900", "--time=5")
    job = granted.stderr.split()[-1]
    try:
        database = exp.create_database(db_nodes=3, port=0, alloc=job)
        exp.start(database)
        listed = find_leftovers(own_processes(), PosixFileSystem())
        (found,) = [leftover for leftover in listed if leftover.path == database.path]
        assert (found.kind, found.name, found.driver) == ("database", database.name, os.getpid())
        assert [server.address for server in found.servers] == database.get_address()
        assert reap(found, ValkeyServer(), PosixFileSystem(), ReapedJobs("a test"), save=True) is None
        assert exp.wait(database, timeout=60) == [COMPLETED] * 3
        assert len(list(Path(database.path).glob("*.rdb"))) == 3
    finally:
        slurm.cancel(job)


def test_what_runs_in_a_batch_job_is_left_to_the_scheduler(exp: Experiment) -> None:
    batch = exp.create_batch_settings(nodes=1, time="00:05:00", batch_args={"mem": "100"})
    model = exp.create_model("m", shell(exp, "echo on; sleep 60"), batch_settings=batch)
    exp.start(model, block=False)
    while not Path(model.path, "m.out").exists() or "on" not in Path(model.path, "m.out").read_text():
        assert exp.get_status(model) != [FAILED]
    listed = find_leftovers(own_processes(), PosixFileSystem())
    assert not [leftover for leftover in listed if leftover.experiment == exp.exp_path]
    exp.stop(model)


def test_what_slurm_refuses_is_told_with_its_words_and_what_to_do(exp: Experiment) -> None:
    batch = exp.create_batch_settings(nodes=1, time="00:05:00", queue="nosuch")
    model = exp.create_model("m", shell(exp, "true"), batch_settings=batch)
    with pytest.raises(LauncherError, match="(?s)invalid partition specified.*--partition"):
        exp.start(model, block=True)
    assert exp.get_status(model) == [FAILED]


def test_settings_of_other_schedulers_are_refused(exp: Experiment) -> None:
    batch = QsubBatchSettings(nodes=1)
    with pytest.raises(SSUnsupportedError, match="QsubBatchSettings not supported by this launcher"):
        exp.start(exp.create_model("m", shell(exp, "true"), batch_settings=batch))
    assert exp.get_status() == []


def test_without_an_allocation_steps_and_databases_are_refused(exp: Experiment) -> None:
    with pytest.raises(AllocationError, match="SLURM_JOB_ID"):
        exp.start(exp.create_model("m", shell(exp, "true")))
    with pytest.raises(AllocationError, match="orchestrator"):
        exp.start(exp.create_database())
    with pytest.raises(AllocationError):
        exp.start(exp.create_model("n", MpirunSettings("true", fail_if_missing_exec=False)))


def test_a_program_without_ranks_runs_beside_the_driver(exp: Experiment) -> None:
    model = exp.create_model("m", exp.create_run_settings("true", run_command=""))
    exp.start(model, block=True)
    assert exp.get_status(model) == [COMPLETED]


def test_a_database_that_its_driver_could_not_reach_is_refused_with_what_to_choose(
    slurm: Slurm, exp: Experiment
) -> None:
    words = "interface='lo' is reached from that node alone.*choose interface='auto', or one that the nodes share"
    somewhere = exp.create_database(batch=True, port=0, time="00:05:00", interface="lo")
    somewhere.set_batch_arg("mem", "900")
    with pytest.raises(SmartSimError, match=f"runs on {slurm.nodes[0]}, where {words}"):
        exp.start(somewhere)  # as soon as its server tells where it is
    assert slurm.jobs() == set()
    known = exp.create_database(batch=True, port=0, interface="lo", hosts=[slurm.nodes[1]], db_identifier="known")
    with pytest.raises(SmartSimError, match=f"runs on {slurm.nodes[1]}, where {words}"):
        exp.start(known)
    assert not Path(known.path).exists()


def test_a_database_whose_job_is_refused_leaves_nothing(exp: Experiment) -> None:
    database = exp.create_database(batch=True, time="00:05:00", queue="nosuch")
    with pytest.raises(SmartSimError, match="invalid partition specified"):
        exp.start(database)
    assert not database.is_active()
