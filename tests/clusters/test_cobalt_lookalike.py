"""The look-alike of Cobalt does what Cobalt's source says."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from clusters.lookalikes.cluster import Job, Queue
from clusters.lookalikes.site import Site, lookalike


@pytest.fixture
def cobalt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    (tmp_path / "user").mkdir()
    monkeypatch.chdir(tmp_path / "user")
    queues = {"default": Queue(), "debug": Queue(limit=60.0, nodes=2)}
    nodes = {"nid00001": 4, "nid00002": 4, "nid00003": 4}
    with lookalike("cobalt", tmp_path / "cluster", nodes, queues=queues, kill_delay=0.5, minute=1.0) as site:
        yield site


def script(text: str, *directives: str) -> str:
    path = Path("job.sh")
    path.write_text("\n".join(["#!/bin/bash", *(f"#COBALT {directive}" for directive in directives), text, ""]))
    path.chmod(0o755)
    return str(path)


def submit(site: Site, *argv: str) -> str:
    answer = site.run("qsub", *argv)
    assert (answer.returncode, answer.stderr) == (0, "")
    return answer.stdout


def gone(jobs: list[Job]) -> bool:
    return not jobs


def test_a_job_runs_leaves_the_queue_and_its_exit_code_in_a_log(cobalt: Site) -> None:
    job = script("env > $COBALT_JOBID.env; cat $COBALT_NODEFILE; exit 7", "-n 2", "-t 60", "-q default")
    assert submit(cobalt, "--env", r"A=1:B=x\:y", job) == "1\n"
    cobalt.wait_for(gone)
    assert Path("1.output").read_text() == "nid00001\nnid00002\n"
    assert "exit code of 7; " in Path("1.cobaltlog").read_text()
    environment = Path("1.env").read_text().splitlines()
    assert {"A=1", "B=x:y", "COBALT_PARTSIZE=2"} <= set(environment)
    assert not [line for line in environment if line.startswith("PYTEST")]
    answer = cobalt.run("qstat", "1")
    assert (answer.returncode, answer.stdout, answer.stderr) == (1, "", "")


def test_the_command_line_wins_over_the_script(cobalt: Site) -> None:
    job = script("sleep 60", "-n 3", "-t 60")
    submit(cobalt, "-n", "1", "--jobname", "mine", job)
    shown = cobalt.run("qstat", "--header", "JobID:JobName:Nodes:WallTime:Nonsense").stdout
    assert shown == (
        "JobID  JobName  Nodes  WallTime  Nonsense  \n"
        "===========================================\n"
        "1      mine     1      01:00:00  -         \n"
    )


def test_nodes_are_for_one_job_alone_and_deleted_jobs_say_so_in_their_logs(cobalt: Site) -> None:
    job = script("sleep 60", "-n 2", "-t 60")
    submit(cobalt, "--debuglog", "log.$jobid", job)
    submit(cobalt, "--debuglog", "log.$jobid", job)
    rows = cobalt.run("qstat", "--header", "JobID:State", "1", "2", "99").stdout.splitlines()[2:]
    assert [row.split() for row in rows] == [["1", "running"], ["2", "queued"]]
    deleted = cobalt.run("qdel", "2", "1", "99")
    assert deleted.stdout.startswith("      Deleted Jobs\nJobID  User")
    cobalt.wait_for(gone)
    assert "user delete requested; removing" in Path("log.2").read_text()
    assert "requested by user" in Path("log.1").read_text()
    assert "exit code of 143" in Path("log.1").read_text()


def test_a_job_over_its_limit_is_ended(cobalt: Site) -> None:
    submit(cobalt, "-n", "1", "-t", "1", script("sleep 60"))
    cobalt.wait_for(gone)
    log = Path("1.cobaltlog").read_text()
    assert "maximum execution time exceeded" in log
    assert "exit code of 143" in log


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("-n", "1"), "'time' not provided"),
        (("-t", "1"), "'nodecount' not provided"),
        (("-n", "1", "-t", "1", "-o", "/no/such/x.out"), "directory /no/such does not exist"),
        (("-n", "1", "-t", "1", "-q", "nosuch"), "Queue 'nosuch' does not exist"),
        (("-n", "3", "-t", "1", "-q", "debug"), "'nodecount' 3 is not possible in queue debug"),
        (("-n", "1", "-t", "2:00", "-q", "debug"), "Walltime greater than the 'maxtime' of queue debug"),
    ],
)
def test_refusals(cobalt: Site, argv: tuple[str, ...], said: str) -> None:
    answer = cobalt.run("qsub", *argv, script("true"))
    assert (answer.returncode, answer.stdout, answer.stderr) == (1, "", f"{said}\n")


def test_only_programs_are_taken(cobalt: Site) -> None:
    Path("plain.sh").write_text("#!/bin/bash\n")
    assert cobalt.run("qsub", "-n", "1", "-t", "1", "plain.sh").stderr == "command plain.sh is not executable\n"


def test_while_it_is_away_nobody_answers(cobalt: Site) -> None:
    with cobalt.away():
        answer = cobalt.run("qstat", "--header", "JobID:State")
    assert answer.returncode == 1
    assert answer.stderr.startswith("component error: ")
