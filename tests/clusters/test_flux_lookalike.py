"""The look-alike of Flux answers as Flux 0.88 was recorded to."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clusters.lookalikes.cluster import Job, Queue, State
from clusters.lookalikes.site import Site, lookalike

RECORDED = Path(__file__).parents[1] / "adapters" / "recorded"


@pytest.fixture
def flux(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    (tmp_path / "user").mkdir()
    monkeypatch.chdir(tmp_path / "user")
    queues = {"batch": Queue(), "short": Queue(limit=5.0)}
    nodes = {"n1": 2, "n2": 2}
    with lookalike("flux", tmp_path / "cluster", nodes, queues=queues, kill_delay=0.5, minute=1.0) as site:
        monkeypatch.setenv("PATH", f"{site.bin}:{os.environ['PATH']}")
        yield site


def submit(site: Site, script: str, *argv: str) -> str:
    Path("job.sh").write_text(f"#!/bin/bash\n{script}\n")
    answer = site.run("flux", "batch", *argv, "job.sh")
    assert (answer.returncode, answer.stderr) == (0, "")
    return answer.stdout.strip()


def over(jobs: list[Job]) -> bool:
    return all(job.is_over for job in jobs)


def told(site: Site, *jobs: str) -> Any:
    return json.loads(site.run("flux", "jobs", "--json", *jobs).stdout)


def test_a_script_runs_with_its_directives_and_its_exit_code_is_kept(flux: Site) -> None:
    job = submit(
        flux,
        '#flux: --nodes=2 --job-name="a b"\n# flux: -t 30m\n#flux: --output=out-{{id}}\nflux uptime\nexit 4',
        "-n2",
    )
    assert job.startswith("ƒ")
    flux.wait_for(over)
    assert "depth 1,  size 2\n" in Path(f"out-{job}").read_text()
    record = told(flux, job)
    assert {name: record[name] for name in ("jobid", "name", "state", "status", "result", "returncode", "nnodes")} == {
        "jobid": job,
        "name": "a b",
        "state": "INACTIVE",
        "status": "FAILED",
        "result": "FAILED",
        "returncode": 4,
        "nnodes": 2,
    }


def test_what_is_told_of_a_job_has_the_fields_that_were_recorded(flux: Site) -> None:
    submit(flux, "sleep 60", "-n1")
    flux.wait_for(lambda jobs: jobs[0].runs)
    recorded = json.loads((RECORDED / "flux_job.txt").read_text())
    mine = told(flux, flux.run("flux", "jobs").stdout.split()[0])
    assert recorded.keys() - mine.keys() == {"ncores", "userid"}
    assert mine["exception"] == recorded["exception"]
    assert mine["state"] == recorded["state"]


def test_an_identifier_may_be_written_in_several_ways(flux: Site) -> None:
    job = submit(flux, "true", "-n1")
    flux.wait_for(over)
    for name in (job, job.replace("ƒ", "f"), str(told(flux, job)["id"])):
        assert told(flux, name)["jobid"] == job


def test_jobs_that_are_not_known(flux: Site) -> None:
    job = submit(flux, "true", "-n1")
    answer = flux.run("flux", "jobs", "--json", "f9")
    assert (answer.returncode, answer.stdout, answer.stderr) == (1, "", "JobID f9 unknown\n")
    answer = flux.run("flux", "jobs", "--json", job, "f9")
    assert [record["jobid"] for record in json.loads(answer.stdout)["jobs"]] == [job]
    assert answer.stderr == "JobID f9 unknown\n"
    assert "0OIl is not a valid Flux jobid" in flux.run("flux", "jobs", "--json", "0OIl").stderr
    flux.wait_for(over)


def test_a_cancelled_job_says_so(flux: Site) -> None:
    runs, waits = submit(flux, "exec sleep 60", "-N2"), submit(flux, "true", "-N2")
    assert told(flux, waits)["state"] == "SCHED"
    flux.wait_for(lambda jobs: bool(jobs[0].session))
    assert flux.run("flux", "cancel", runs, waits).returncode == 0
    flux.wait_for(over)
    assert [told(flux, job)["returncode"] for job in (runs, waits)] == [143, -128]
    assert [told(flux, job)["result"] for job in (runs, waits)] == ["CANCELED"] * 2
    assert told(flux, runs)["exception"]["type"] == "cancel"
    assert "t_run" not in told(flux, waits)
    assert flux.run("flux", "job", "status", runs).returncode == 143
    assert flux.run("flux", "job", "wait-event", "-t", "5", runs, "clean").stdout.endswith(" clean\n")
    assert "inactive" in flux.run("flux", "cancel", runs).stderr


def test_a_job_over_its_time_limit_says_so(flux: Site) -> None:
    job = submit(flux, "exec sleep 60", "-n1", "-t", "60s")
    flux.wait_for(over)
    record = told(flux, job)
    assert (record["result"], record["returncode"]) == ("TIMEOUT", 142)
    assert record["exception"] == {
        "occurred": True,
        "severity": 0,
        "type": "timeout",
        "note": "resource allocation expired",
    }
    assert record["duration"] == 60.0


def test_a_stubborn_job_is_killed(flux: Site) -> None:
    stubborn = 'trap "" TERM; echo > ready; while :; do sleep 0.1; done'
    job = submit(flux, stubborn, "-n1")
    flux.wait_for(lambda _: Path("ready").exists())
    flux.run("flux", "cancel", job)
    assert [job.returncode for job in flux.wait_for(over)] == [-signal.SIGKILL]


def test_what_can_never_run_fails_at_once(flux: Site) -> None:
    job = submit(flux, "true", "-N99")
    record = told(flux, job)
    assert (record["state"], record["result"], record["exception"]["type"]) == ("INACTIVE", "FAILED", "alloc")
    assert record["exception"]["note"] == "unsatisfiable request: need 99 exclusive node(s), only 2 eligible"


def test_held_jobs_wait_until_they_are_released(flux: Site) -> None:
    job = submit(flux, "true", "-n1", "--urgency=hold")
    assert (told(flux, job)["state"], told(flux, job)["urgency"]) == ("SCHED", 0)
    assert flux.run("flux", "job", "urgency", job, "default").returncode == 0
    flux.wait_for(over)


def test_signals_reach_the_job(flux: Site) -> None:
    job = submit(flux, 'trap "exit 44" USR1; echo > ready; while :; do sleep 0.1; done', "-n1")
    flux.wait_for(lambda _: Path("ready").exists())
    assert flux.run("flux", "job", "kill", "--signal=SIGUSR1", job).returncode == 0
    flux.wait_for(over)
    assert told(flux, job)["returncode"] == 44


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("-n1", "-q", "nosuch"), "Invalid queue 'nosuch' specified"),
        (("-n1", "-q", "short", "-t", "6"), "exceeds policy limit"),
        (("-n1", "-t", "bad"), "invalid Flux standard duration"),
        ((), "Number of slots to allocate must be specified"),
        (("--nosuch",), "error: option --nosuch not recognized"),
    ],
)
def test_refusals_name_what_is_wrong(flux: Site, argv: tuple[str, ...], said: str) -> None:
    Path("job.sh").write_text("#!/bin/bash\n")
    answer = flux.run("flux", "batch", *argv, "job.sh")
    assert answer.returncode != 0
    assert said in answer.stderr
    assert flux.jobs() == []


def test_while_it_is_away_nobody_answers_nothing_starts_and_what_runs_goes_on(flux: Site) -> None:
    submit(flux, "until [ -e go ]; do sleep 0.05; done; exit 3", "-N2")
    submit(flux, "true", "-N2")
    with flux.away():
        Path("go").touch()
        assert flux.wait_for(lambda jobs: jobs[0].is_over)[1].state is State.QUEUED
        answer = flux.run("flux", "jobs", "--json")
        assert answer.returncode == 1
        assert "Unable to connect to Flux" in answer.stderr
    assert [job.returncode for job in flux.wait_for(over)] == [3, 0]


def in_job(site: Site, command: str) -> tuple[int | None, str]:
    """Return how a command ends in a job of two nodes, and what it writes."""
    submit(site, command, "-N2", "--output=out")
    [job] = site.wait_for(over)
    return job.returncode, Path("out").read_text()


def test_ranks_in_a_job_know_who_they_are(flux: Site) -> None:
    rank = "echo $FLUX_TASK_RANK $FLUX_TASK_LOCAL_ID of $FLUX_JOB_SIZE $A $(pwd)"
    code, said = in_job(flux, f"flux run -N2 -n4 --env=A=b --cwd=/usr sh -c '{rank}'")
    assert code == 0
    assert sorted(said.splitlines()) == ["0 0 of 4 b /usr", "1 1 of 4 b /usr", "2 0 of 4 b /usr", "3 1 of 4 b /usr"]


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("sh -c 'exit 3'", 3, "flux-job: task(s) exited with exit code 3\n"),
        ("sh -c 'kill -ALRM $$'", 142, "flux-job: task(s) Alarm clock\n"),
        ("/no/such", 127, "flux-job: task(s) exited with exit code 127\n"),
    ],
)
def test_the_status_of_ranks_is_told(flux: Site, command: str, code: int, said: str) -> None:
    found, output = in_job(flux, f"exec flux run {command}")
    assert found == code
    assert output.endswith(said)


def test_more_nodes_than_the_job_has_are_refused(flux: Site) -> None:
    code, said = in_job(flux, "exec flux run -N99 true")
    assert code == 1
    assert "unsatisfiable request: need 99 exclusive node(s), only 2 eligible" in said
