"""The look-alike of LSF answers as a scheduler of the OpenLava family was recorded to."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from clusters.lookalikes.cluster import Job, Queue, State
from clusters.lookalikes.site import Site, lookalike

RECORDED = Path(__file__).parents[1] / "adapters" / "recorded"
QUEUES = {"normal": Queue(), "short": Queue(limit=5.0)}


@pytest.fixture
def lsf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    (tmp_path / "user").mkdir()
    monkeypatch.chdir(tmp_path / "user")
    with lookalike("lsf", tmp_path / "cluster", {"vm": 4}, queues=QUEUES, kill_delay=0.5, minute=1.0) as site:
        yield site


def submit(site: Site, *argv: str, stdin: str | None = None) -> str:
    answer = site.run("bsub", *argv, stdin=stdin)
    assert (answer.returncode, answer.stderr) == (0, "")
    return answer.stdout


def over(jobs: list[Job]) -> bool:
    return all(job.is_over for job in jobs)


def stat(site: Site, *jobs: str) -> list[str]:
    records = json.loads(site.run("bjobs", "-json", "-o", "JOBID STAT", *jobs).stdout)["RECORDS"]
    return [record["STAT"] for record in records]


def test_a_script_runs_with_its_directives_wherever_they_stand(lsf: Site) -> None:
    text = (
        '#!/bin/bash\n#BSUB -J "two words" -o out.%J\necho to-stdout; echo to-stderr >&2\n#BSUB -e err.%J -q normal\n'
    )
    said = submit(lsf, "-n", "2", stdin=f'{text}echo "$LSB_JOBNAME $LSB_MCPU_HOSTS/ $LS_SUBCWD"\nexit 7\n')
    assert said == "Job <1> is submitted to queue <normal>.\n"
    lsf.wait_for(over)
    output = Path("out.1").read_text()
    owner = lsf.jobs()[0].owner
    assert output.startswith(f"Sender: LSF System <{owner}@")
    assert "Subject: Job 1: <two words> Exited\n" in output
    assert "Job was executed on host(s) <2*vm>, in queue <normal>" in output
    assert "\n\nExited with exit code 7.\n\nResource usage summary:\n" in output
    following = output.partition("The output (if any) follows:\n\n")[2]
    assert following.startswith(f"to-stdout\ntwo words vm 2 / {Path.cwd()}\n\n\nPS:\n\nRead file <")
    assert Path("err.1").read_text() == "to-stderr\n"


def test_a_script_that_is_named_is_a_mere_command(lsf: Site) -> None:
    script = Path("s.lsf")
    script.write_text("#!/bin/bash\n#BSUB -J named -q nosuch\nexit 3\n")
    assert submit(lsf, "./s.lsf") == "Job <1> is submitted to default queue <normal>.\n"
    lsf.wait_for(over)
    script.chmod(0o700)
    submit(lsf, "./s.lsf")
    lsf.wait_for(over)
    assert [job.returncode for job in lsf.jobs()] == [126, 3]
    assert "./s.lsf" in lsf.run("bjobs", "-a", "-w").stdout


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("-q", "nosuch", "true"), "nosuch: No such queue. Job not submitted."),
        (("-n", "400", "true"), "Too many processors requested. Job not submitted."),
        (("-m", "nohost", "true"), "nohost: Bad host name, host group name or cluster name. Job not submitted."),
        (("-W", "abc", "true"), "abc: Bad RUNLIMIT specification. Job not submitted."),
        (("-q", "short", "-W", "10", "true"), "RUNLIMIT: Cannot exceed queue's hard limit(s). Job not submitted."),
        (("-nnodes", "2", "true"), "Bad argument for option -n. Job not submitted."),
        (("-zz", "true"), "bsub: illegal option -- zz"),
        ((), "No command is specified. Job not submitted."),
    ],
)
def test_refusals_are_those_that_were_recorded(lsf: Site, argv: tuple[str, ...], said: str) -> None:
    answer = lsf.run("bsub", *argv, stdin="")
    assert (answer.returncode, answer.stdout) == (255, "")
    assert answer.stderr.splitlines()[0] == said
    assert lsf.jobs() == []


def test_options_that_it_does_not_know_may_be_read_as_others(lsf: Site) -> None:
    submit(lsf, "-alloc_flags", "smt4", "true")
    lsf.wait_for(over)
    [job] = lsf.jobs()
    assert (job.returncode, job.extra["command"]) == (127, "smt4 true")


def test_elements_of_an_array_have_the_number_of_the_array_and_exit_codes_of_their_own(lsf: Site) -> None:
    submit(lsf, "-J", "arr[1-3]", "-o", "arr.%J.%I", "echo $LSB_JOBINDEX of $LSB_JOBINDEX_END; exit $LSB_JOBINDEX")
    lsf.wait_for(over)
    assert Path("arr.1.2").read_text().endswith("\n2 of 3\n")
    answer = lsf.run("bjobs", "-json", "-o", "JOBID STAT JOB_NAME", "1")
    records = json.loads(answer.stdout)["RECORDS"]
    assert records[1] == {"JOBID": "1", "STAT": "EXIT", "JOB_NAME": "arr[2]"}
    assert re.findall(r"^Job <(.*?)>", lsf.run("bhist", "-l", "1").stdout, re.MULTILINE) == ["1[1]", "1[2]", "1[3]"]
    assert "Exited with exit code 2." in lsf.run("bhist", "-l", "1[2]").stdout


def test_jobs_are_shown_as_they_were_recorded(lsf: Site) -> None:
    submit(lsf, "-J", "runner", "-n", "2", "sleep 60")
    submit(lsf, "-H", "-J", "held", "sleep 60")
    submit(lsf, "-n", "4", "-J", "waiter", "sleep 60")
    owner, host = lsf.jobs()[0].owner, os.uname().nodename
    shown = [line.split() for line in lsf.run("bjobs", "-w").stdout.splitlines()]
    assert shown[0] == ["JOBID", "USER", "STAT", "QUEUE", "FROM_HOST", "EXEC_HOST", "JOB_NAME", "SUBMIT_TIME"]
    assert [row[:7] for row in shown[1:]] == [
        ["1", owner, "RUN", "normal", host, "vm:vm", "runner"],
        ["2", owner, "PSUSP", "normal", host, "-", "held"],
        ["3", owner, "PEND", "normal", host, "-", "waiter"],
    ]
    assert lsf.run("bjobs").stdout.splitlines()[2].split() == ["vm"]  # the second slot of the first job
    answer = lsf.run("bjobs", "-json", "-o", "JOBID STAT", "1", "99999")
    assert answer.returncode == 0
    assert answer.stdout == (
        '{\n\t"COMMAND":\t"bjobs",\n\t"JOBS":\t2,\n\t"RECORDS":\t['
        '{\n\t\t\t"JOBID":\t"1",\n\t\t\t"STAT":\t"RUN"\n\t\t}, '
        '{\n\t\t\t"JOBID":\t"99999",\n\t\t\t"ERROR":\t"Job <99999> is not found"\n\t\t}]\n}\n'
    )


@pytest.mark.parametrize(
    ("argv", "returncode", "said"),
    [
        ((), 254, "No unfinished job found\n"),
        (("-a",), 254, "No job found\n"),
        (("-p",), 254, "No pending job found\n"),
        (("99999",), 255, "Job <99999> is not found\n"),
        (("abc",), 255, "abc: Illegal job ID.\n"),
        (("-o", "jobid stat exit_code"), 99, "<EXIT_CODE> in the format string is not a valid field name.\n"),
    ],
)
def test_errors_of_bjobs_are_those_that_were_recorded(
    lsf: Site, argv: tuple[str, ...], returncode: int, said: str
) -> None:
    answer = lsf.run("bjobs", *argv)
    assert (answer.returncode, answer.stdout, answer.stderr) == (returncode, "", said)


def test_a_job_that_is_killed_gets_sigint_first(lsf: Site) -> None:
    submit(lsf, "-J", "runner", "sleep 60")
    submit(lsf, 'trap "echo got TERM; exit 9" TERM; trap "echo got INT" INT; echo > ready; while :; do sleep 0.1; done')
    submit(lsf, "-H", "sleep 60")
    lsf.wait_for(lambda jobs: bool(jobs[0].session) and Path("ready").exists())
    answer = lsf.run("bkill", "1", "2", "3", "99999")
    assert answer.stdout == "".join(f"Job <{job}> is being terminated\n" for job in "123")
    assert (answer.returncode, answer.stderr) == (255, "Job <99999>: No matching job found\n")
    jobs = lsf.wait_for(over)
    assert [job.returncode for job in jobs] == [130, 9, None]
    assert stat(lsf, "1", "2", "3") == ["EXIT"] * 3
    assert lsf.run("bkill", "1").stderr == "Job <1>: Job has already finished\n"
    history = lsf.run("bhist", "-l", "1").stdout
    assert f"Signal <KILL> requested by user or administrator <{jobs[0].owner}>;" in history
    assert "Exited with exit code 130. The CPU time used is 0.0 second\n                     s;\n" in history
    assert "Exited;" in lsf.run("bhist", "-l", "3").stdout


def test_a_job_that_ends_already_is_said_to(lsf: Site) -> None:
    submit(lsf, 'trap "" INT TERM; echo > ready; while :; do sleep 0.1; done')
    lsf.wait_for(lambda _: Path("ready").exists())
    lsf.run("bkill", "1")
    answer = lsf.run("bkill", "1")
    assert (answer.returncode, answer.stderr) == (255, "Job <1>: Operation is in progress\n")
    lsf.wait_for(over)


def test_signals_reach_the_job(lsf: Site) -> None:
    submit(lsf, 'trap "exit 44" USR1; echo > ready; while :; do sleep 0.1; done')
    lsf.wait_for(lambda _: Path("ready").exists())
    assert lsf.run("bkill", "-s", "USR1", "1").stdout == "Job <1> is being signaled\n"
    lsf.wait_for(over)
    assert "Exited with exit code 44" in lsf.run("bhist", "-l", "1").stdout


def test_a_job_over_its_run_limit_gets_sigusr2_first(lsf: Site) -> None:
    submit(lsf, "-W", "1", "-o", "over.out", "sleep 60")
    lsf.wait_for(over)
    assert "User defined signal 2\n" in Path("over.out").read_text()
    history = lsf.run("bhist", "-l", "1").stdout
    assert " RUNLIMIT                \n 1.0 min                 \n" in history
    assert "Exited with exit code 140." in history
    times = history.splitlines()[-1].split()
    assert int(times[2]) >= 60


def test_a_job_whose_shell_is_killed_is_said_to_be_done(lsf: Site) -> None:
    submit(lsf, "kill -9 $$")
    submit(lsf, "sh -c 'kill -9 $$'")
    lsf.wait_for(over)
    assert stat(lsf, "1", "2") == ["DONE", "EXIT"]
    assert "Post job process failed;" in lsf.run("bhist", "-l", "1").stdout
    assert "Exited with exit code 137." in lsf.run("bhist", "-l", "2").stdout


def test_the_history_has_the_form_that_was_recorded(lsf: Site) -> None:
    submit(lsf, "-J", "two", "-o", "c2.out", "echo hi; exit 3")
    lsf.wait_for(over)
    date = r"\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d"

    def shape(text: str) -> list[str]:
        plain = re.sub(rf"<[^>]*>|{date}|Pid \d+", "", text.replace("Starting ()", ""))
        return [re.sub(r"\d+", "N", re.sub(r" +", " ", line)).strip() for line in plain.splitlines()]

    recorded = (RECORDED / "lsf_bhist.txt").read_text().partition("Job <4>")[2].partition("\n\n\n")[0]
    lines = shape(f"\nJob <4>{recorded}")
    mine = shape(re.sub(r"\n {21}(?=<)", "", lsf.run("bhist", "-l", "1").stdout))
    joined = shape(re.sub(r"\n {21}(?=<)", "", f"\nJob <4>{recorded}"))
    assert lines
    assert [line for line in mine if not line.startswith(": Running")] == [
        line for line in joined if not line.startswith(": Running")
    ]


def test_jobs_are_stopped_and_resumed(lsf: Site) -> None:
    submit(lsf, "-n", "4", "sleep 60")
    submit(lsf, "true")
    lsf.wait_for(lambda jobs: bool(jobs[0].session))
    assert lsf.run("bstop", "1", "2").stdout == "Job <1> is being stopped\nJob <2> is being stopped\n"
    assert stat(lsf, "1", "2") == ["USUSP", "PSUSP"]
    assert lsf.run("bresume", "1", "2").stdout == "Job <1> is being resumed\nJob <2> is being resumed\n"
    assert stat(lsf, "1", "2") == ["RUN", "PEND"]
    lsf.run("bkill", "0")
    lsf.wait_for(over)


def test_what_is_purged_has_a_history_still(lsf: Site) -> None:
    submit(lsf, "exit 4")
    lsf.wait_for(over)
    lsf.purge()
    answer = lsf.run("bjobs", "1")
    assert (answer.returncode, answer.stderr) == (255, "Job <1> is not found\n")
    assert "Exited with exit code 4." in lsf.run("bhist", "-l", "1").stdout
    answer = lsf.run("bhist", "-l", "99999")
    assert (answer.returncode, answer.stdout) == (255, "No matching job found\n")


def test_while_it_is_away_programs_wait_and_what_runs_goes_on(lsf: Site) -> None:
    submit(lsf, "-n", "4", "until [ -e go ]; do sleep 0.05; done; exit 3")
    submit(lsf, "true")
    with lsf.away():
        Path("go").touch()
        assert lsf.wait_for(lambda jobs: jobs[0].is_over)[1].state is State.QUEUED
        with subprocess.Popen([lsf.bin / "bjobs"], stderr=subprocess.PIPE, text=True) as program:
            assert program.stderr
            assert program.stderr.readline() == "LSF daemon (LIM) not responding ... still trying\n"
            assert program.poll() is None
            program.send_signal(signal.SIGTERM)
        answer = lsf.run("lsid")
        assert answer.returncode == 255
        assert answer.stderr == "ls_getclustername(): LIM is down; try later\n"
    lsf.wait_for(over)
    assert lsf.run("lsid").stdout.splitlines()[2] == "My cluster name is volclava"
