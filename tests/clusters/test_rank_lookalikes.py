"""The look-alikes of programs that start ranks."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from clusters.lookalikes.site import Site, lookalike


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("ranks") / "cluster"
    with lookalike("pbs", directory, {"n1": 4}, ranks=("mpiexec", "aprun")) as site:
        yield site


def test_ranks_of_pals_know_who_they_are(site: Site, tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("n1\nn2\n")
    answer = site.run(
        *(
            "mpiexec",
            "--wdir",
            str(tmp_path),
            "--env",
            "A=1",
            "--np",
            "4",
            "--ppn",
            "2",
            "--hostfile",
            f"{tmp_path}/hosts",
        ),
        *("/bin/sh", "-c", 'echo "$A $PALS_RANKID $PALS_LOCAL_RANKID $PALS_NODEID $(pwd)"'),
    )
    assert answer.returncode == 0
    assert sorted(answer.stdout.splitlines()) == [
        f"1 {rank} {local} {node} {tmp_path}" for rank, local, node in ((0, 0, 0), (1, 1, 0), (2, 0, 1), (3, 1, 1))
    ]


def test_several_programs_share_their_ranks(site: Site) -> None:
    answer = site.run(
        "mpiexec", "-n", "1", "/bin/sh", "-c", "echo a $PMI_RANK/$PMI_SIZE", ":", *("-n", "2"), "/bin/echo", "b"
    )
    assert sorted(answer.stdout.splitlines()) == ["a 0/3", "b", "b"]


def test_ranks_of_aprun_know_who_they_are_and_a_line_follows_their_output(site: Site) -> None:
    argv = ("aprun", "--pes=2", "-e", "A=1", "-cc", "none", "/bin/sh", "-c", "echo $A $ALPS_APP_PE")
    shown = site.run(*argv).stdout.splitlines()
    assert sorted(shown[:2]) == ["1 0", "1 1"]
    assert shown[2].startswith("Application 3373484 resources: ")
    assert len(site.run("aprun", "-q", "-n", "1", "/bin/echo").stdout.splitlines()) == 1


@pytest.mark.parametrize("program", ["mpiexec", "aprun"])
def test_the_status_is_that_of_the_first_rank_that_failed(site: Site, program: str) -> None:
    rank = "${PALS_RANKID:-$ALPS_APP_PE}"
    assert site.run(program, "-n", "3", "/bin/sh", "-c", f'[ "{rank}" = 0 ] || exit {rank}').returncode == 1
    assert site.run(program, "-n", "2", "/bin/sh", "-c", "kill -9 $$").returncode == 137
    assert site.run(program, "-n", "1", "/no/such/program").returncode == 127


def test_signals_reach_the_ranks(site: Site) -> None:
    argv = (
        str(site.bin / "mpiexec"),
        "-n",
        "2",
        "/bin/sh",
        "-c",
        "trap 'exit 5' TERM; echo; while :; do sleep 0.05; done",
    )
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as program:
        assert program.stdout
        assert program.stdout.read(2) == b"\n\n"
        os.kill(program.pid, signal.SIGTERM)
        assert program.wait(30.0) == 5
