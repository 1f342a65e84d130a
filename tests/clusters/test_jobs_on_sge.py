"""Jobs on a real Grid Engine: what becomes of them and of their members, and driver scripts."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from mpi_libraries import MPICH, ranks_in
from real_sites import REAL_KINDS, RealSite
from schedulers import GridEngine
from smartsim import Experiment
from smartsim.domain.lifecycle import Ended, Queued, Refused, Started, Suspended
from smartsim.domain.steps import Batch
from smartsim.error import LauncherError, SmartSimError
from smartsim.ports.workload_manager import WorkloadManager
from smartsim.status import SmartSimStatus

DEADLINE = 60.0
SLEEPER = ("/bin/sleep", "300")
WAITS = "until [ -e {} ]; do sleep 0.05; done; exit {}"
COMPLETED, FAILED, CANCELLED = (
    SmartSimStatus.STATUS_COMPLETED,
    SmartSimStatus.STATUS_FAILED,
    SmartSimStatus.STATUS_CANCELLED,
)


def job(site: RealSite, name: str, *directives: str, array: bool = False) -> Batch:
    batch = site.batch(name, True, *directives, array=array)
    assert batch is not None
    return batch


def number_of(site: RealSite, name: str) -> str:
    event = site.of(name)[0]
    assert isinstance(event, Queued)
    return event.native_id


@pytest.fixture(autouse=True)
def _emptied(sge: GridEngine) -> Iterator[None]:
    """Wait for jobs whose members have all ended, and that stay in the queue for a moment."""
    before = sge.jobs()
    yield
    deadline = time.monotonic() + DEADLINE
    while sge.jobs() - before:
        assert time.monotonic() < deadline, "a job stays in the queue"
        threading.Event().wait(0.1)


@pytest.fixture
def site(sge: GridEngine, tmp_path: Path) -> RealSite:
    return RealSite(REAL_KINDS["sge jobs"], sge, tmp_path)


@pytest.fixture
def manager(site: RealSite) -> Iterator[WorkloadManager]:
    manager = site.manager()
    yield manager
    names = {name for name, event in site.reports if isinstance(event, Queued | Started)}
    manager.stop(names, grace=0.0)
    for name in names:
        site.ended(name)
    manager.close()


def test_a_failed_member_of_a_batch_ensemble_is_seen_as_its_own_failure(
    site: RealSite, manager: WorkloadManager
) -> None:
    batch = job(site, "ensemble", "-pe smp 4")
    codes = [0, 7, 0, 255]
    steps = [site.step(f"m{i}", "/bin/sh", "-c", f"exit {code}", batch=batch) for i, code in enumerate(codes)]
    manager.submit([*steps, site.step("killed", "/bin/sh", "-c", "kill -9 $$", batch=batch)], site.report)
    assert [site.ended(step.name).returncode for step in steps] == codes
    assert site.ended("killed").returncode == -signal.SIGKILL
    assert site.runner.count("qsub") == 1


def test_elements_of_a_job_array_are_jobs_of_their_own(site: RealSite, manager: WorkloadManager) -> None:
    batch = job(site, "array", array=True)
    steps = [site.step(f"m{i}", "/bin/sh", "-c", f"echo {i}; exit {i}", batch=batch) for i in range(6)]
    manager.submit(steps, site.report)
    assert [site.ended(step.name).returncode for step in steps] == list(range(6))
    assert [Path(step.stdout).read_text() for step in steps] == [f"{i}\n" for i in range(6)]
    number = number_of(site, "m0").partition(".")[0]
    assert [number_of(site, step.name) for step in steps] == [f"{number}.{i + 1}" for i in range(6)]
    assert site.runner.count("qsub") == 1


def test_one_element_of_an_array_can_be_stopped(site: RealSite, manager: WorkloadManager) -> None:
    batch = job(site, "array", array=True)
    steps = [site.step(name, *SLEEPER, batch=batch) for name in ("a", "b")]
    manager.submit(steps, site.report)
    for step in steps:
        site.wait_for(step.name, Started)
    manager.stop(["a"], grace=DEADLINE)
    assert site.ended("a").returncode == -signal.SIGTERM
    assert not [event for event in site.of("b") if isinstance(event, Ended)]


def test_a_job_over_its_time_limit_says_so(site: RealSite, manager: WorkloadManager) -> None:
    batch = job(site, "limited", "-l h_rt=3")
    manager.submit([site.step(name, *SLEEPER, batch=batch) for name in ("a", "b")], site.report)
    for name in ("a", "b"):
        ended = site.ended(name)
        assert ended.returncode == -signal.SIGKILL
        assert "time limit" in ended.reason


def test_a_parallel_job_is_judged_by_its_own_record_and_not_by_those_of_its_tasks(
    site: RealSite, manager: WorkloadManager
) -> None:
    tasks = "for host in $(cut -d ' ' -f 1 $PE_HOSTFILE); do qrsh -inherit $host true; done"
    batch = job(site, "parallel", "-pe mpi 4", "-l h_rt=5")
    manager.submit([site.step("a", "/bin/sh", "-c", f"{tasks}; sleep 300", batch=batch)], site.report)
    ended = site.ended("a")
    assert ended.returncode == -signal.SIGKILL
    assert "time limit" in ended.reason


def test_a_job_that_somebody_deletes_is_killed(site: RealSite, manager: WorkloadManager) -> None:
    manager.submit([site.step("a", *SLEEPER, batch=job(site, "a"))], site.report)
    site.wait_for("a", Started)
    site.cluster.ask("qdel", number_of(site, "a"))
    assert site.ended("a").returncode == -signal.SIGKILL


def test_a_job_that_somebody_deletes_while_it_waits_is_said_to_be_unknown(
    site: RealSite, manager: WorkloadManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smartsim.adapters.wlm.followed._FORGOTTEN", 2.0)
    manager.submit([site.step("a", *SLEEPER, batch=job(site, "a", "-h"))], site.report)
    site.cluster.ask("qdel", number_of(site, "a"))
    ended = site.ended("a")
    assert ended.returncode is None
    assert ended.reason.startswith("unknown: sge does not know job")


@pytest.mark.parametrize(
    ("directive", "says", "advice"),
    [
        ("-pe nosuch 3", 'the requested parallel environment "nosuch" does not exist', "qconf -spl"),
        ("-q nosuch.q", 'unknown queue "nosuch.q"', "qconf -sql"),
        ("-l nosuch=1", 'unknown resource "nosuch"', "qconf -sc"),
        ("-P nosuch", "nosuch", "-P"),
        ("-nosuchoption", "nosuchoption", "option named"),
    ],
)
def test_a_refusal_tells_what_grid_engine_said_and_what_to_do(
    site: RealSite, manager: WorkloadManager, directive: str, says: str, advice: str
) -> None:
    manager.submit([site.step("a", "/bin/true", batch=job(site, "a", directive))], site.report)
    refused = site.of("a")[0]
    assert isinstance(refused, Refused)
    assert says in str(refused.error)
    assert advice in str(refused.error)


def test_a_job_that_cannot_be_started_is_told_to_the_user(site: RealSite, manager: WorkloadManager) -> None:
    manager.submit([site.step("a", "/bin/true", batch=job(site, "a", "-wd /no/such/directory"))], site.report)
    deadline = time.monotonic() + DEADLINE
    while not site.told():
        assert time.monotonic() < deadline, "nothing was told"
        threading.Event().wait(0.1)
    assert "(a) does not start: Grid Engine could not start it (Eqw)" in site.told()
    assert f"qstat -j {number_of(site, 'a')}" in site.told()


def test_a_job_that_is_suspended_is_told_so(site: RealSite, manager: WorkloadManager) -> None:
    manager.submit([site.step("a", *SLEEPER, batch=job(site, "a"))], site.report)
    site.wait_for("a", Started)
    site.cluster.ask("qmod", "-sj", number_of(site, "a"))
    site.wait_for("a", Suspended)
    site.cluster.ask("qmod", "-usj", number_of(site, "a"))


def test_a_master_that_is_away_for_a_while_loses_nothing(site: RealSite, manager: WorkloadManager) -> None:
    go = site.directory / "go"
    manager.submit([site.step("a", "/bin/sh", "-c", WAITS.format(go, 3), batch=job(site, "a"))], site.report)
    site.wait_for("a", Started)
    with site.cluster.controller_stopped():
        go.touch()
        assert site.ended("a").returncode == 3
        manager.submit([site.step("b", "/bin/true", batch=job(site, "b"))], site.report)
    refused = site.of("b")[0]
    assert isinstance(refused, Refused)
    assert "does not answer" in str(refused.error)


def test_another_driver_takes_a_job_over(site: RealSite, manager: WorkloadManager) -> None:
    go = site.directory / "go"
    step = site.step("a", "/bin/sh", "-c", WAITS.format(go, 6), batch=job(site, "a"))
    first = site.manager()
    first.submit([step], site.report)
    handle = first.handle("a")
    first.close()
    assert manager.attach(step, handle, site.report)
    go.touch()
    assert site.ended("a").returncode == 6


# Driver scripts


@pytest.fixture
def exp(sge: GridEngine, tmp_path: Path) -> Experiment:
    del sge  # the experiment is to find it
    return Experiment("study", str(tmp_path), launcher="sge")


def test_members_run_ranks_on_the_hosts_of_a_parallel_environment(
    exp: Experiment, sge: GridEngine, allreduce: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{Path(MPICH.mpirun).parent}:{os.environ['PATH']}")
    batch = exp.create_batch_settings(time="00:10:00", ncpus=4, pe_type="mpi", shebang="#!/bin/bash")
    settings = exp.create_run_settings(allreduce["mpich"], run_command="mpirun")
    settings.set_tasks(4)
    ensemble = exp.create_ensemble("member", batch_settings=batch, run_settings=settings, replicas=2)
    ensemble.models[1].run_settings.exe_args = ["7"]
    exp.generate(ensemble)
    exp.start(ensemble, block=True)
    assert exp.get_status(ensemble) == [COMPLETED, FAILED]
    for member in ensemble.models:
        said = Path(member.path, f"{member.name}.out").read_text()
        assert sorted(ranks_in(said, 4)) == sorted(sge.nodes)


def test_an_ensemble_as_an_array_keeps_each_end(exp: Experiment) -> None:
    batch = exp.create_batch_settings(time="00:10:00")
    batch.set_array()
    settings = exp.create_run_settings("sh", ["-c", "echo $A; exit $A"], run_command="")
    ensemble = exp.create_ensemble("member", batch_settings=batch, run_settings=settings, replicas=3)
    for number, member in enumerate(ensemble.models):
        member.run_settings.update_env({"A": number})
    exp.generate(ensemble)
    exp.start(ensemble, block=True)
    assert exp.get_status(ensemble) == [COMPLETED, FAILED, FAILED]
    assert [Path(m.path, f"{m.name}.out").read_text() for m in ensemble.models] == ["0\n", "1\n", "2\n"]


def test_a_job_that_is_stopped_counts_as_cancelled(exp: Experiment, sge: GridEngine) -> None:
    settings = exp.create_run_settings("sleep", "600", run_command="")
    model = exp.create_model("m", settings, batch_settings=exp.create_batch_settings())
    exp.start(model, block=False)
    assert sge.jobs()
    exp.stop(model, grace=1.0)
    assert exp.get_status(model) == [CANCELLED]


def test_an_unknown_parallel_environment_is_told_with_what_to_do(exp: Experiment) -> None:
    batch = exp.create_batch_settings(ncpus=2, pe_type="nosuch")
    model = exp.create_model("m", exp.create_run_settings("true", run_command=""), batch_settings=batch)
    with pytest.raises(LauncherError, match="(?s)nosuch.*qconf -spl"):
        exp.start(model, block=True)
    assert exp.get_status(model) == [FAILED]


def test_a_database_of_one_server_needs_no_mpirun_and_is_taken_over(exp: Experiment, sge: GridEngine) -> None:
    database = exp.create_database(batch=True, port=0, time="00:10:00")
    exp.start(database)
    assert {socket.gethostbyaddr(host)[0] for host in database.hosts} <= set(sge.nodes)
    with Experiment("later", exp.exp_path, launcher="sge") as later:
        found = later.reconnect_orchestrator(database.checkpoint_file)
        assert found.is_active()
        assert found.get_address() == database.get_address()
    assert exp.wait(database, timeout=DEADLINE) == [COMPLETED]


def test_a_database_of_several_servers_says_what_it_needs(exp: Experiment, sge: GridEngine) -> None:
    database = exp.create_database(batch=True, db_nodes=3, port=0)
    with pytest.raises(SmartSimError, match="none of mpirun, mpiexec, orterun is in PATH: load the module"):
        exp.start(database)
    assert sge.jobs() == set()
