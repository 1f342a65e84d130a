"""The MPI libraries that `make mpi` installs, and programs that are built with them, for tests."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ENVIRONMENTS = Path(__file__).resolve().parents[1] / "build" / "mpi"
SOURCES = Path(__file__).parent / "mpi"
DEADLINE = 120.0


@dataclass(frozen=True)
class Mpi:
    """An MPI library.

    Attributes:
        name: `mpich` or `openmpi`.
        variables: of the environment, without which it does not run where tests do.
        slurm: what `srun --mpi=` takes for its programs.
    """

    name: str
    variables: Mapping[str, str]
    slurm: str

    @property
    def mpirun(self) -> str:
        """What starts the ranks of a program."""
        return self._program("mpirun")

    @property
    def mpicc(self) -> str:
        """What compiles programs in C."""
        return self._program("mpicc")

    def build(self, source: str, directory: Path) -> str:
        """Return the executable of a program.

        Args:
            source: the file in `mpi/`.
            directory: where it is made.
        """
        executable = directory / f"{Path(source).stem}_{self.name}"
        command = [self.mpicc, "-Wall", "-o", str(executable), str(SOURCES / source)]
        result = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
        assert result.returncode == 0, result.stderr
        return str(executable)

    def _program(self, name: str) -> str:
        program = ENVIRONMENTS / self.name / "bin" / name
        assert program.exists(), f"no {program}: make mpi"
        return str(program)


# UCX has addresses of several kilobytes. Slurm reads a request of PMI-1 at once, up to 1024 bytes, and parts of an
# address, with what is around them, are longer where they do not compress well. Those of libfabric have 16 bytes.
MPICH = Mpi("mpich", {"MPIR_CVAR_CH4_NETMOD": "ofi"}, "pmi2")
# As root, with more ranks than the machine has cores.
OPEN_MPI = Mpi(
    "openmpi",
    {
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
        "PRTE_MCA_hwloc_default_binding_policy": "none",
    },
    "pmix",
)


@pytest.fixture(params=[MPICH, OPEN_MPI], ids=lambda mpi: mpi.name)
def mpi(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Mpi:
    """Each of the libraries, with the variables that it needs."""
    library: Mpi = request.param
    for name, value in library.variables.items():
        monkeypatch.setenv(name, value)
    return library


@pytest.fixture(scope="session")
def allreduce(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The executables of `mpi/allreduce.c` by the names of the libraries."""
    directory = tmp_path_factory.mktemp("mpi")
    return {library.name: library.build("allreduce.c", directory) for library in (MPICH, OPEN_MPI)}


def ranks_in(text: str, size: int) -> list[str]:
    """Return the hosts of the ranks in what `mpi/allreduce.c` has written, in the order of the ranks.

    Raises:
        AssertionError: if that is not what so many ranks of one program write.
    """
    found = {}
    for rank, of, host, total in re.findall(r"rank (\d+) of (\d+) on (\S+): (\d+)", text):
        assert (int(of), int(total)) == (size, size * (size + 1) // 2), text
        found[int(rank)] = host
    assert sorted(found) == list(range(size)), text
    return [found[rank] for rank in range(size)]
