"""The look-alike of PBS answers as OpenPBS 23.06 was recorded to."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from clusters.lookalikes import processes
from clusters.lookalikes.cluster import MARKER, Job, Queue, State
from clusters.lookalikes.site import Site, lookalike

NODES = {"pbsnode1": 4, "pbsnode2": 4, "pbsnode3": 4, "pbsnode4": 4}


@pytest.fixture
def pbs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    (tmp_path / "user").mkdir()
    monkeypatch.chdir(tmp_path / "user")
    queues = {"workq": Queue(), "short": Queue(limit=60.0)}
    with lookalike("pbs", tmp_path / "cluster", NODES, queues=queues, kill_delay=0.5) as site:
        yield site


def submit(site: Site, *argv: str, stdin: str | None = None) -> str:
    answer = site.run("qsub", *argv, stdin=stdin)
    assert (answer.returncode, answer.stderr) == (0, "")
    return answer.stdout.strip()


def over(jobs: list[Job]) -> bool:
    return all(job.is_over for job in jobs)


def field(site: Site, job: str, name: str) -> str | None:
    text = site.run("qstat", "-x", "-f", job).stdout.replace("\n\t", "")
    lines = [line for line in text.splitlines() if line.startswith(f"    {name} = ")]
    return lines[0].partition(" = ")[2] if lines else None


def test_a_script_runs_with_its_directives_and_its_exit_code_is_kept(pbs: Site) -> None:
    script = Path("j.pbs")
    script.write_text(
        "#!/bin/bash\n#PBS -N hello\n#PBS -l select=2:ncpus=2 -l walltime=1:00\n#PBS -j oe -o out.txt\n"
        'echo "on $PBS_JOBID $PBS_O_WORKDIR"; cat $PBS_NODEFILE; exit 7\n'
    )
    assert submit(pbs, "j.pbs") == "1.pbsserver"
    pbs.wait_for(over)
    assert Path("out.txt").read_text() == f"on 1.pbsserver {Path.cwd()}\npbsnode1\npbsnode1\n"
    assert field(pbs, "1", "exec_host") == "pbsnode1/0*2+pbsnode1/0*2"
    assert (field(pbs, "1", "Exit_status"), field(pbs, "1", "substate")) == ("7", "93")
    gone = pbs.run("qstat", "1.pbsserver")
    assert gone.stderr == ("qstat: 1.pbsserver Job has finished, use -x or -H to obtain historical job information\n")
    assert gone.returncode == 35
    assert pbs.run("qstat", "-x", "1").stdout == (
        "Job id            Name             User              Time Use S Queue\n"
        "----------------  ---------------- ----------------  -------- - -----\n"
        f"1.pbsserver       hello            {pbs.jobs()[0].owner:<16}  00:00:00 F workq           \n"
    )


def test_elements_of_an_array_have_exit_codes_of_their_own(pbs: Site) -> None:
    assert (
        submit(pbs, "-J", "0-3", "-N", "arr", stdin="echo $PBS_ARRAY_INDEX; exit $PBS_ARRAY_INDEX\n") == "1[].pbsserver"
    )
    pbs.wait_for(over)
    rows = pbs.run("qstat", "-x", "-t", "1[].pbsserver").stdout.splitlines()[2:]
    assert [row.split()[0] for row in rows] == ["1[].pbsserver", *(f"1[{index}].pbsserver" for index in range(4))]
    assert [field(pbs, f"1[{index}]", "Exit_status") for index in range(4)] == ["0", "1", "2", "3"]
    assert Path("arr.o1.2").read_text() == "2\n"


def test_jobs_wait_for_free_cpus(pbs: Site) -> None:
    submit(pbs, "-l", "select=4:ncpus=4", "--", "/bin/sleep", "60")
    submit(pbs, "--", "/bin/true")
    assert [job.state for job in pbs.jobs()] == [State.RUNNING, State.QUEUED]
    assert (field(pbs, "2", "comment") or "").startswith(
        "Not Running: Insufficient amount of resource: ncpus (R: 1 A: 0"
    )
    pbs.run("qdel", "1")
    pbs.wait_for(over)
    assert field(pbs, "2", "Exit_status") == "0"


def test_a_deleted_job_is_known_by_its_substate(pbs: Site) -> None:
    submit(pbs, "--", "/bin/sleep", "60")
    assert pbs.run("qdel", "1").returncode == 0
    pbs.wait_for(over)
    assert (field(pbs, "1", "Exit_status"), field(pbs, "1", "substate")) == ("0", "91")
    again = pbs.run("qdel", "1")
    assert (again.returncode, again.stderr) == (35, "qdel: Job has finished 1.pbsserver\n")


def test_what_does_not_heed_sigterm_is_killed_later_or_at_once_by_force(pbs: Site) -> None:
    stubborn = 'trap "" TERM; echo > $PBS_O_WORKDIR/ready.$PBS_JOBID; while :; do sleep 0.1; done\n'
    submit(pbs, stdin=stubborn)
    submit(pbs, stdin=stubborn)
    pbs.wait_for(lambda _: len(list(Path().glob("ready.*"))) == 2)
    pbs.run("qdel", "1")
    pbs.run("qdel", "-W", "force", "2")
    assert [job.returncode for job in pbs.wait_for(over)] == [-signal.SIGKILL, -signal.SIGKILL]


def test_a_job_over_its_walltime_is_killed(pbs: Site) -> None:
    submit(pbs, "-l", "walltime=1", "--", "/bin/sleep", "60")
    pbs.wait_for(over)
    assert field(pbs, "1", "Exit_status") == "-29"


def test_a_signal_shows_in_the_exit_status(pbs: Site) -> None:
    submit(pbs, "--", "/bin/sh", "-c", "kill -9 $$")
    submit(pbs, "--", "/bin/sleep", "60")
    pbs.wait_for(lambda jobs: bool(jobs[1].session))
    assert pbs.run("qsig", "-s", "suspend", "2").returncode == 0
    assert field(pbs, "2", "job_state") == "S"
    pbs.run("qsig", "-s", "resume", "2")
    assert field(pbs, "2", "job_state") == "R"
    pbs.run("qsig", "-s", "SIGUSR1", "2")
    pbs.wait_for(over)
    assert [field(pbs, job, "Exit_status") for job in "12"] == ["265", str(256 + signal.SIGUSR1)]


def test_held_jobs_wait_until_they_are_released(pbs: Site) -> None:
    submit(pbs, "-h", "--", "/bin/true")
    assert field(pbs, "1", "job_state") == "H"
    assert pbs.run("qrls", "1").returncode == 0
    pbs.wait_for(over)


@pytest.mark.parametrize(
    ("argv", "returncode", "said"),
    [
        (("qsub", "-q", "nosuch", "--", "/bin/true"), 170, "qsub: Unknown queue\n"),
        (
            ("qsub", "-l", "walltime=bad", "--", "/bin/true"),
            166,
            "qsub: Illegal attribute or resource value Resource_List.walltime\n",
        ),
        (("qsub", "/no/such.sh"), 1, "qsub: script file:: No such file or directory\n"),
        (("qstat", "nosuch.1"), 170, "qstat: Unknown queue destination nosuch.1\n"),
        (("qstat", "99999"), 153, "qstat: Unknown Job Id 99999.pbsserver\n"),
    ],
)
def test_errors_are_those_that_were_recorded(pbs: Site, argv: tuple[str, ...], returncode: int, said: str) -> None:
    answer = pbs.run(*argv)
    assert (answer.returncode, answer.stderr) == (returncode, said)


def test_a_job_that_asks_for_more_than_there_is_waits_and_says_so(pbs: Site) -> None:
    submit(pbs, "-l", "select=99:ncpus=1", "--", "/bin/true")
    assert field(pbs, "1", "job_state") == "Q"
    assert (field(pbs, "1", "comment") or "").startswith(
        "Can Never Run: Insufficient amount of resource: ncpus (R: 99 A: 1"
    )


def test_jobs_inherit_nothing_without_v(pbs: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINE", "1")
    submit(pbs, "-v", "C=d,MINE", "-o", "named", "--", "/usr/bin/env")
    submit(pbs, "-V", "-o", "all", "--", "/usr/bin/env")
    submit(pbs, "-o", "none", "--", "/usr/bin/env")
    pbs.wait_for(over)
    assert {"C=d", "MINE=1", "PATH=/bin:/usr/bin"} <= set(Path("named").read_text().splitlines())
    assert f"PATH={os.environ['PATH']}" in Path("all").read_text().splitlines()
    assert "MINE=" not in Path("none").read_text()
    assert f"PBS_O_WORKDIR={Path.cwd()}" in Path("none").read_text().splitlines()


def test_json_shows_numbers_where_a_text_looks_like_one(pbs: Site) -> None:
    submit(pbs, "-N", "123", "-h", "--", "/bin/true")
    shown = json.loads(pbs.run("qstat", "-f", "-F", "json", "1").stdout)["Jobs"]["1.pbsserver"]
    assert shown["Job_Name"] == 123
    assert shown["job_state"] == "H"


def test_while_it_is_away_nobody_answers_nothing_starts_and_what_runs_goes_on(pbs: Site) -> None:
    submit(pbs, "-l", "select=4:ncpus=4", stdin="until [ -e $PBS_O_WORKDIR/go ]; do sleep 0.05; done; exit 3\n")
    submit(pbs, "--", "/bin/true")
    with pbs.away():
        Path("go").touch()
        assert pbs.wait_for(lambda jobs: jobs[0].is_over)[1].state is State.QUEUED
        answer = pbs.run("qstat", "1")
        assert answer.returncode != 0
        assert "cannot connect to server" in answer.stderr
    pbs.wait_for(over)
    assert field(pbs, "1", "Exit_status") == "3"


def test_while_it_hangs_programs_wait(pbs: Site) -> None:
    with pbs.hung():
        program = subprocess.Popen([pbs.bin / "qstat"], stdout=subprocess.PIPE)
        with pytest.raises(subprocess.TimeoutExpired):
            program.wait(0.5)
    assert program.communicate(timeout=30.0)[0] == b""


def test_what_is_purged_is_unknown(pbs: Site) -> None:
    submit(pbs, "--", "/bin/true")
    pbs.wait_for(over)
    pbs.purge()
    assert pbs.run("qstat", "-x", "1").returncode == 153


def test_output_that_nobody_wants_is_thrown_away(pbs: Site) -> None:
    before = Path("/dev/null").stat()
    submit(pbs, "-o", "/dev/null", "-e", "/dev/null", "--", "/bin/echo", "hello")
    pbs.wait_for(over)
    after = Path("/dev/null").stat()
    assert (before.st_mode, before.st_ino) == (after.st_mode, after.st_ino)


def test_nothing_is_left_running_when_it_closes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with lookalike("pbs", tmp_path / "cluster", {"n1": 4}) as site:
        # One ignores signals, one left its session.
        site.run("qsub", stdin='trap "" TERM; while :; do sleep 0.1; done\n')
        site.run("qsub", stdin="setsid sleep 60 & sleep 60\n")
        site.wait_for(lambda jobs: all(job.session for job in jobs))
        assert processes.marked(MARKER, str(site.directory))
    assert processes.marked(MARKER, str(site.directory)) == []
