"""Jobs on schedulers that look like the real ones: what becomes of their members."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from clusters.lookalikes.cluster import State
from job_sites import KINDS, JobSite, job_site
from smartsim.domain.lifecycle import Ended, Queued, Refused, Started, Suspended

pytestmark = pytest.mark.usefixtures("_elsewhere")


@pytest.fixture
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "driver").mkdir()
    monkeypatch.chdir(tmp_path / "driver")


@pytest.fixture(params=sorted(KINDS))
def jobs(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobSite]:
    with job_site(request.param, tmp_path, monkeypatch) as jobs:
        yield jobs


@pytest.fixture(params=sorted(name for name, kind in KINDS.items() if kind.arrays))
def array_jobs(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobSite]:
    with job_site(request.param, tmp_path, monkeypatch) as jobs:
        yield jobs


def test_members_of_a_job_keep_their_own_exit_codes(jobs: JobSite) -> None:
    steps = [
        jobs.step("good", "/bin/sh", "-c", 'echo "$PREAMBLE, $A, $(pwd)"', environment={"A": "it's 1"}),
        jobs.step("bad", "/bin/sh", "-c", "echo oh >&2; exit 7"),
        jobs.step("killed", "/bin/sh", "-c", "kill -9 $$"),
        jobs.step("missing", "/no/such/program"),
    ]
    jobs.manager().submit(steps, jobs.report)
    assert [jobs.ended(step.name).returncode for step in steps] == [0, 7, -9, 127]
    assert len(jobs.site.jobs()) <= 1
    assert Path(steps[0].stdout).read_text() == f"was here, it's 1, {steps[0].working_directory}\n"
    assert Path(steps[1].stderr).read_text() == "oh\n"
    for step in steps:
        queued, started, ended = jobs.of(step.name)
        assert isinstance(queued, Queued)
        assert isinstance(started, Started)
        assert isinstance(ended, Ended)
        assert queued.at <= started.at <= ended.at
        assert queued.native_id == started.native_id


def test_elements_of_an_array_keep_their_own_exit_codes(array_jobs: JobSite) -> None:
    batch = array_jobs.batch(array=True)
    steps = [array_jobs.step(f"m{code}", "/bin/sh", "-c", f"exit {code}", batch=batch) for code in range(5)]
    array_jobs.manager().submit(steps, array_jobs.report)
    assert [array_jobs.ended(step.name).returncode for step in steps] == list(range(5))
    ids = [event.native_id for _, event in array_jobs.reports if isinstance(event, Started)]
    assert len(set(ids)) == 5


def test_one_element_of_an_array_can_be_stopped(array_jobs: JobSite) -> None:
    batch = array_jobs.batch(array=True)
    steps = [array_jobs.step(f"m{index}", "/bin/sleep", "60", batch=batch) for index in range(2)]
    manager = array_jobs.manager()
    manager.submit(steps, array_jobs.report)
    array_jobs.wait_for("m1", Started)
    array_jobs.wait_for("m0", Started)
    manager.stop(["m1"], grace=30.0)
    assert array_jobs.ended("m1").returncode == -signal.SIGTERM
    assert not [event for event in array_jobs.of("m0") if isinstance(event, Ended)]
    manager.stop(["m0"], grace=30.0)
    array_jobs.ended("m0")


def test_a_job_over_its_time_limit_says_so(jobs: JobSite) -> None:
    jobs.manager().submit([jobs.step("long", "/bin/sleep", "60", batch=jobs.batch(limit=2))], jobs.report)
    ended = jobs.ended("long")
    assert ended.returncode == -jobs.kind.limited_by
    assert "time limit" in ended.reason
    assert not ended.cancelled_by


@pytest.mark.parametrize("state", ["waits", "runs"])
def test_a_job_that_somebody_else_deletes_is_cancelled(jobs: JobSite, state: str) -> None:
    manager = jobs.manager()
    if state == "waits":
        manager.submit([jobs.step("before", "/bin/sleep", "60", batch=jobs.batch("b", nodes=2))], jobs.report)
    manager.submit([jobs.step("it", "/bin/sleep", "60", batch=jobs.batch(nodes=2))], jobs.report)
    if state == "runs":
        jobs.wait_for("it", Started)
    queued = jobs.of("it")[0]
    assert isinstance(queued, Queued)
    jobs.site.run(*jobs.kind.delete, queued.native_id)
    ended = jobs.ended("it")
    assert ended.cancelled_by
    assert ended.returncode == (-jobs.kind.deleted_by if state == "runs" else None)
    manager.stop(["before"], grace=1.0)


def test_jobs_that_wait_and_jobs_that_run_are_stopped(jobs: JobSite) -> None:
    manager = jobs.manager()
    steps = [
        jobs.step("polite", "/bin/sleep", "60", batch=jobs.batch("a")),
        jobs.step("stubborn", "/bin/sh", "-c", 'trap "" TERM; while :; do sleep 1; done', batch=jobs.batch("b")),
        jobs.step("waiting", "/bin/sleep", "60", batch=jobs.batch("c", nodes=2)),
    ]
    manager.submit(steps, jobs.report)
    jobs.wait_for("polite", Started)
    jobs.wait_for("stubborn", Started)
    manager.stop([step.name for step in steps], grace=1.0)
    assert jobs.ended("polite").returncode == -signal.SIGTERM
    assert jobs.ended("stubborn").returncode == -signal.SIGKILL
    jobs.ended("waiting")
    assert not [event for event in jobs.of("waiting") if isinstance(event, Started)]
    jobs.site.wait_for(lambda left: all(job.is_over for job in left))


def test_members_that_ended_are_known_by_their_files_when_the_queue_forgot_the_job(jobs: JobSite) -> None:
    manager = jobs.manager()
    manager.submit([jobs.step("a", "/bin/sh", "-c", "exit 3")], jobs.report)
    jobs.site.wait_for(lambda left: all(job.is_over for job in left))
    jobs.site.purge()
    assert jobs.ended("a").returncode == 3


def test_a_job_that_nobody_knows_any_more_and_that_left_nothing_is_said_to_be_unknown(
    jobs: JobSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smartsim.adapters.wlm.followed._FORGOTTEN", 1.0)
    steps = [jobs.step(name, "/bin/sleep", "60", batch=jobs.batch(name, nodes=2)) for name in ("before", "a")]
    manager = jobs.manager()
    manager.submit(steps, jobs.report)
    jobs.wait_for("before", Started)
    with jobs.site.away():
        # The server comes back without what it knew.
        jobs.site.forget(next(job for job in jobs.site.jobs() if job.state is State.QUEUED))
    ended = jobs.ended("a")
    assert ended.returncode is None
    assert ended.reason.startswith("unknown")
    manager.stop(["before"], grace=1.0)
    jobs.ended("before")


def test_a_scheduler_that_is_away_for_a_while_loses_nothing(jobs: JobSite, monkeypatch: pytest.MonkeyPatch) -> None:
    # The programs of some wait for its return, and are given up.
    monkeypatch.setattr("smartsim.adapters.wlm.submission._TIMEOUT", 2.0)
    monkeypatch.setattr("smartsim.adapters.wlm.inquiry.TIMEOUT", 2.0)
    manager = jobs.manager()
    go = jobs.directory / "go"
    wait = f"until [ -e {go} ]; do sleep 0.05; done; exit "
    manager.submit(
        [
            jobs.step("first", "/bin/sh", "-c", f"{wait} 3", batch=jobs.batch("a", nodes=2)),
            jobs.step("second", "/bin/sh", "-c", "exit 4", batch=jobs.batch("b", nodes=2)),
        ],
        jobs.report,
    )
    jobs.wait_for("first", Started)
    with jobs.site.away():
        go.touch()
        assert jobs.ended("first").returncode == 3
        assert len(jobs.of("second")) == 1
        manager.submit([jobs.step("refused", "/bin/true", batch=jobs.batch("c"))], jobs.report)
        refused = jobs.of("refused")[0]
    assert jobs.ended("second").returncode == 4
    assert isinstance(refused, Refused)
    assert re.search("does not answer|No instance of Flux answers|may wait for a server", str(refused.error))


def test_a_refused_job_says_what_to_do(jobs: JobSite) -> None:
    manager = jobs.manager()
    manager.submit([jobs.step("nowhere", "/bin/true", batch=jobs.batch("a", queue="nosuch"))], jobs.report)
    manager.submit([jobs.step("long", "/bin/true", batch=jobs.batch("b", queue="tiny", limit=60))], jobs.report)
    nowhere, long = jobs.of("nowhere")[0], jobs.of("long")[0]
    assert isinstance(nowhere, Refused)
    assert isinstance(long, Refused)
    assert "Name a queue" in str(nowhere.error)
    assert jobs.batch().submit[0] in str(nowhere.error)
    assert "limits" in str(long.error)
    assert jobs.site.jobs() == []


def test_another_driver_takes_a_job_over(jobs: JobSite) -> None:
    first = jobs.manager()
    go = jobs.directory / "go"
    step = jobs.step("a", "/bin/sh", "-c", f"until [ -e {go} ]; do sleep 0.05; done; exit 6")
    first.submit([step], lambda *_: None)
    handle = first.handle("a")
    first.close()
    second = jobs.manager()
    assert second.attach(step, handle, jobs.report)
    go.touch()
    assert jobs.ended("a").returncode == 6


def test_a_job_that_pbs_suspends_is_suspended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with job_site("pbs", tmp_path, monkeypatch) as jobs:
        manager = jobs.manager()
        manager.submit([jobs.step("a", "/bin/sleep", "60")], jobs.report)
        started = jobs.wait_for("a", Started)
        assert isinstance(started, Started)
        jobs.site.run("qsig", "-s", "suspend", started.native_id)
        jobs.wait_for("a", Suspended)
        manager.stop(["a"], grace=5.0)
        jobs.ended("a")


def test_a_job_that_pbs_can_never_run_is_told_to_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with job_site("pbs", tmp_path, monkeypatch) as jobs:
        manager = jobs.manager()
        manager.submit([jobs.step("a", "/bin/true", batch=jobs.batch(nodes=99))], jobs.report)
        jobs.site.wait_for(lambda _: bool(jobs.logged))
        assert "Can Never Run" in jobs.logged[0]
        assert "-l select" in jobs.logged[0]
        manager.stop(["a"], grace=1.0)
        jobs.ended("a")


def test_a_job_that_lsf_suspends_is_suspended_and_one_that_it_holds_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with job_site("lsf", tmp_path, monkeypatch) as jobs:
        manager = jobs.manager()
        steps = [jobs.step(name, "/bin/sleep", "60", batch=jobs.batch(name, nodes=2)) for name in ("a", "b")]
        manager.submit(steps, jobs.report)
        jobs.wait_for("a", Started)
        jobs.site.run("bstop", "1", "2")
        jobs.wait_for("a", Suspended)
        jobs.site.wait_for(lambda _: bool(jobs.logged))
        assert "(b) does not start: the job is held: release it with `bresume 2`" in jobs.logged[0]
        manager.stop(["a", "b"], grace=1.0)
        jobs.ended("a")
        jobs.ended("b")


@pytest.mark.parametrize("kind", ["lsf", "coral"])
def test_a_job_of_lsf_that_is_killed_outright_did_not_do_well_whatever_lsf_says(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with job_site(kind, tmp_path, monkeypatch) as jobs:
        jobs.manager().submit([jobs.step("a", "/bin/sleep", "60")], jobs.report)
        jobs.wait_for("a", Started)
        jobs.site.run("bkill", "-s", "KILL", "1")
        ended = jobs.ended("a")
        assert ended.returncode == (None if kind == "lsf" else -signal.SIGKILL)
        assert ended.cancelled_by == jobs.site.jobs()[0].owner


def test_the_history_tells_of_a_job_that_lsf_has_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with job_site("lsf", tmp_path, monkeypatch) as jobs:
        manager = jobs.manager()
        steps = [jobs.step(name, "/bin/sleep", "60", batch=jobs.batch(name, nodes=2)) for name in ("a", "b")]
        manager.submit(steps, jobs.report)
        jobs.wait_for("a", Started)
        jobs.site.run("bkill", "2")
        jobs.site.purge()
        assert jobs.ended("b").cancelled_by
        manager.stop(["a"], grace=1.0)
        jobs.ended("a")


def test_a_job_that_flux_can_never_run_fails_with_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with job_site("flux", tmp_path, monkeypatch) as jobs:
        jobs.manager().submit([jobs.step("a", "/bin/true", batch=jobs.batch(nodes=99))], jobs.report)
        ended = jobs.ended("a")
        assert ended.returncode is None
        assert "unsatisfiable request: need 99 exclusive node(s)" in ended.reason
