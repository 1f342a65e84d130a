"""The Grid Engine that the tests of launchers run on is a real one, with four hosts."""

from __future__ import annotations

from pathlib import Path

from schedulers import GridEngine


def run(sge: GridEngine, directory: Path, script: str, *options: str) -> tuple[int, str]:
    """Return the exit code of a job that has ended, from the accounting, and what it wrote."""
    file, output = directory / "job.sh", directory / "output"
    file.write_text(script)
    job = sge.ask("qsub", "-terse", "-j", "y", "-o", str(output), *options, str(file)).strip()
    return sge.exit_status(job), output.read_text()


def test_the_exit_code_of_a_job_is_in_the_accounting(sge: GridEngine, tmp_path: Path) -> None:
    node = sge.nodes[2]
    assert run(sge, tmp_path, "hostname; exit 7", "-l", f"hostname={node}") == (7, f"{node}\n")


def test_a_parallel_job_reaches_all_its_hosts(sge: GridEngine, tmp_path: Path) -> None:
    script = "for host in $(cut -d ' ' -f 1 $PE_HOSTFILE); do qrsh -inherit $host hostname; done"
    code, said = run(sge, tmp_path, script, "-pe", "mpi", "4")
    assert code == 0
    assert sorted(said.split()) == sorted(sge.nodes)


def test_a_job_goes_on_while_the_master_is_stopped(sge: GridEngine) -> None:
    job = sge.ask("qsub", "-terse", "-b", "y", "-shell", "n", "-o", "/dev/null", "-j", "y", "sleep", "600").strip()
    with sge.controller_stopped():
        pass
    assert sge.jobs() == {job}
    sge.cancel(job)
