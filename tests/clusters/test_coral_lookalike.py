"""The look-alike of LSF with JSM answers as IBM's documents say, and its jsrun."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from clusters.lookalikes.cluster import Job
from clusters.lookalikes.site import Site, lookalike


@pytest.fixture
def coral(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    (tmp_path / "user").mkdir()
    monkeypatch.chdir(tmp_path / "user")
    nodes = {"a01n01": 42, "a01n02": 42}
    with lookalike("coral", tmp_path / "cluster", nodes, ranks=("jsrun",), minute=1.0, kill_delay=0.5) as site:
        monkeypatch.setenv("PATH", f"{site.bin}:{os.environ['PATH']}")
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


def test_with_jsm_a_script_is_read_for_its_options(coral: Site) -> None:
    Path("s.lsf").write_text(
        '#!/bin/bash\n#BSUB -P P1 -nnodes 2 -o out\n#BSUB -alloc_flags "smt4 nvme"\n#BSUB -W 0:30\n'
        'echo "$LSB_MCPU_HOSTS"; sort -u $LSB_DJOB_HOSTFILE; exit 5\n'
    )
    assert submit(coral, "-J", "mine", "s.lsf") == "Job <1> is submitted to default queue <workq>.\n"
    coral.wait_for(over)
    following = Path("out").read_text().partition("follows:\n\n")[2]
    assert following == "batch1 1 a01n01 42 a01n02 42 \na01n01\na01n02\nbatch1\n"
    assert coral.jobs()[0].name == "mine"


def test_with_jsm_a_project_is_needed(coral: Site) -> None:
    answer = coral.run("bsub", "-nnodes", "1", "true")
    assert answer.returncode == 255
    assert "**  Project not specified." in answer.stderr
    assert answer.stderr.endswith("Request aborted by esub. Job not submitted.\n")


def test_with_jsm_the_history_says_why_a_job_ended(coral: Site) -> None:
    for options in (("-W", "1"), ()):
        submit(coral, "-P", "P1", "-nnodes", "1", *options, "sleep 60")
    submit(coral, "-P", "P1", "-nnodes", "1", "kill -9 $$")
    coral.run("bkill", "2")
    coral.wait_for(over)
    said = [coral.run("bhist", "-l", job).stdout for job in "123"]
    assert "Completed <exit>; TERM_RUNLIMIT: job killed" in said[0].replace(f"\n{21 * ' '}", "")
    assert "Completed <exit>; TERM_OWNER: job killed by owner;" in said[1].replace(f"\n{21 * ' '}", "")
    assert "Exited by signal 9." in said[2]
    assert stat(coral, "3") == ["EXIT"]


RANK = "echo $JSM_NAMESPACE_RANK $JSM_NAMESPACE_LOCAL_RANK $JSM_NAMESPACE_SIZE $A"


def in_job(site: Site, command: str, nodes: int = 2) -> tuple[int | None, str]:
    """Return how a command ends in a job, and what it writes."""
    submit(site, "-P", "P1", "-nnodes", str(nodes), "-N", "-o", "out", command)
    [job] = site.wait_for(over)
    return job.returncode, Path("out").read_text()


def test_ranks_of_jsrun_know_who_they_are(coral: Site) -> None:
    code, said = in_job(coral, f"jsrun -n 4 -r 2 -a 2 -E A=b --bind none sh -c '{RANK}'")
    assert code == 0
    assert sorted(said.splitlines()) == [f"{rank} {rank % 4} 8 b" for rank in range(8)]


def test_ranks_of_jsrun_write_to_files_of_their_own(coral: Site) -> None:
    files = f"--chdir {Path.cwd()} --stdio_mode individual --stdio_stdout r_%t.out --stdio_stderr r_%t.err"
    code, said = in_job(coral, f"jsrun --np 2 {files} sh -c '{RANK}; exit $JSM_NAMESPACE_RANK'")
    assert (code, said) == (1, "")
    assert Path("r_1.out").read_text() == "1 0 2\n"


def test_jsrun_runs_several_programs_that_a_file_describes(coral: Site) -> None:
    Path("erf").write_text(
        "launch_distribution : packed\n\napp 0 : echo 'a b'\napp 1 : sh -c 'echo $JSM_NAMESPACE_RANK'\n\n"
        "1: { host: 1; cpu: {0:4} }: app 0\n2: { host: 2; cpu: {0:4} }: app 1\n"
    )
    code, said = in_job(coral, "jsrun --erf_input erf")
    assert (code, sorted(said.splitlines())) == (0, ["1", "2", "a b"])


def test_jsrun_refuses_what_the_job_does_not_have(coral: Site) -> None:
    code, said = in_job(coral, "jsrun -n 5 -r 2 true")
    assert code == 1
    assert "ERROR: Not enough resources available to schedule job." in said
