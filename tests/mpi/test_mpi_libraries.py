"""The MPI programs that tests of launchers start are real: their ranks find one another, on one node and on several."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

from mpi_libraries import DEADLINE, Mpi, ranks_in
from schedulers import Slurm


def test_ranks_find_one_another_on_this_machine(mpi: Mpi, allreduce: Mapping[str, str]) -> None:
    command = [mpi.mpirun, "-n", "3", allreduce[mpi.name]]
    result = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=True)
    assert ranks_in(result.stdout, 3) == [socket.gethostname()] * 3


def test_the_code_of_a_rank_is_that_of_the_program(mpi: Mpi, allreduce: Mapping[str, str]) -> None:
    command = [mpi.mpirun, "-n", "2", allreduce[mpi.name], "3"]
    result = subprocess.run(command, capture_output=True, timeout=DEADLINE, check=False)
    assert result.returncode == 3


def test_ranks_of_a_step_find_one_another_on_two_nodes(slurm: Slurm, mpi: Mpi, allreduce: Mapping[str, str]) -> None:
    said = slurm.ask("srun", f"--mpi={mpi.slurm}", "--nodes=2", "--ntasks=4", allreduce[mpi.name])
    hosts = ranks_in(said, 4)
    assert len(set(hosts)) == 2
    assert set(hosts) <= set(slurm.nodes)


def test_ranks_of_mpirun_in_a_job_find_one_another_on_two_nodes(
    slurm: Slurm, mpi: Mpi, allreduce: Mapping[str, str], tmp_path: Path
) -> None:
    output = tmp_path / "output"
    options = ["--wait", "--nodes=2", "--ntasks-per-node=2", f"--output={output}"]
    slurm.ask("sbatch", *options, f"--wrap={mpi.mpirun} -n 4 --map-by ppr:2:node {allreduce[mpi.name]}")
    assert len(set(ranks_in(output.read_text(), 4)) & set(slurm.nodes)) == 2
