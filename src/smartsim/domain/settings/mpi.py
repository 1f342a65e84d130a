"""Ranks of MPI: mpirun, mpiexec and orterun of Open MPI, of MPICH and its kin, and of Intel."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from enum import Enum
from typing import ClassVar

from smartsim.domain.settings import values
from smartsim.domain.settings.command import StepPlace
from smartsim.domain.settings.ranks import ColonSettings
from smartsim.domain.settings.run_resources import ResourceOptions

_VERSION = re.compile(r"(?P<major>[0-9]+)\.[0-9]+")
_NEWER = 5  # the version of Open MPI with another launcher, PRRTE


class MpiFlavour(Enum):
    """Whose options the program that starts ranks has."""

    OPEN_MPI = "Open MPI"
    OPEN_MPI_5 = "Open MPI 5 and later"
    MPICH = "MPICH (Hydra)"
    INTEL = "Intel MPI"

    @property
    def is_hydra(self) -> bool:
        """Whether it is the launcher of MPICH, or made from it."""
        return self in (MpiFlavour.MPICH, MpiFlavour.INTEL)


_HYDRA: Mapping[str, str] = {"npernode": "ppn", "host": "hosts", "hostfile": "f"}
"""What Hydra calls options of Open MPI that it has under another name."""

_MISSING: Mapping[MpiFlavour, Collection[str]] = {
    MpiFlavour.OPEN_MPI: (),
    MpiFlavour.OPEN_MPI_5: ("quiet_launch",),
    MpiFlavour.MPICH: ("quiet_launch", "broadcast"),
    MpiFlavour.INTEL: ("quiet_launch", "broadcast", "task_map", "cpu_binding_type"),
}
"""The settings that there is no option for."""

_TIME_LIMIT: Mapping[MpiFlavour, str] = {MpiFlavour.MPICH: "MPIEXEC_TIMEOUT", MpiFlavour.INTEL: "I_MPI_JOB_TIMEOUT"}
"""The variable that takes the walltime, in seconds, where no option does."""


def mpi_flavour(version: str) -> MpiFlavour | None:
    """Return whose program it is that answers so to ``--version``; None when it does not say.

    Example:
        >>> mpi_flavour("mpirun.openmpi (OpenRTE) 4.1.4"), mpi_flavour("HYDRA build details:")
        (<MpiFlavour.OPEN_MPI: 'Open MPI'>, <MpiFlavour.MPICH: 'MPICH (Hydra)'>)
    """
    if "Intel(R) MPI Library" in version:
        return MpiFlavour.INTEL
    if "Open MPI" in version or "OpenRTE" in version:
        number = _VERSION.search(version)
        return MpiFlavour.OPEN_MPI_5 if number and int(number["major"]) >= _NEWER else MpiFlavour.OPEN_MPI
    return MpiFlavour.MPICH if "HYDRA" in version else None


class MpiCommandSettings(ColonSettings):
    """What the settings of all programs of MPI have in common."""

    reserved_run_args: ClassVar[set[str]] = {"wd", "wdir"}

    def set_cpu_binding_type(self, bind_type: str) -> None:
        """Set what a task is bound to, in the words of the run command: ``core``, ``numa``, ``none``."""
        self._set_option("cpu_binding_type", "CPU binding type", values.text("bind_type", bind_type))

    def set_broadcast(self, dest_path: str | None = None) -> None:
        """Have the executable copied to every node before it runs; the place is the launcher's own choice."""
        if dest_path is not None:
            values.text("dest_path", dest_path)
            self._warn(f"{type(self).__name__} cannot choose where the executable is copied to: {dest_path} is ignored")
        super().set_broadcast()


class MpiSettings(MpiCommandSettings):
    """An executable that a program of Open MPI, MPICH or Intel MPI starts.

    Options have the names of Open MPI; for another flavour those with an equivalent there are written in its words.

    Attributes:
        flavour: whose program it is.
    """

    ranks: ClassVar[str] = "mpirun"
    options: ClassVar[Mapping[str, str]] = {
        "tasks": "n",
        "tasks_per_node": "npernode",
        "task_map": "map-by",
        "cpus_per_task": "cpus-per-proc",
        "hostlist": "host",
        "hostlist_from_file": "hostfile",
        "verbose_launch": "verbose",
        "quiet_launch": "quiet",
        "broadcast": "preload-binary",
        "walltime": "timeout",
        "cpu_binding_type": "bind-to",
    }
    resource_options: ClassVar[ResourceOptions] = ResourceOptions(
        tasks=("n", "np"),
        tasks_per_node=("npernode", "ppn", "perhost"),
        cpus_per_task=("cpus-per-proc", "cpus-per-rank"),
        hosts=("host", "H", "hosts"),
    )

    flavour: MpiFlavour = MpiFlavour.OPEN_MPI

    def set_walltime(self, walltime: str) -> None:
        """Set how long the application may run.

        Args:
            walltime: ``HH:MM:SS``, ``D-HH:MM:SS``, or seconds.

        Raises:
            TypeError: it is no string.
            ValueError: it is no walltime.
        """
        variable = _TIME_LIMIT.get(self.flavour)
        if variable is None:
            super().set_walltime(walltime)
        else:
            self.update_env({variable: values.seconds(values.text("walltime", walltime))})

    def format_run_args(self) -> list[str]:
        """Return the options of the run command as words of its command line, in those of its flavour."""
        if not self.flavour.is_hydra:
            return double_dashed(self._run_args)
        run_args = {_HYDRA.get(name, name): value for name, value in self._run_args.items()}
        pinning = self._pinning(run_args.pop("cpus-per-proc", None), run_args)
        return [*pinning, *(word for name, value in run_args.items() for word in _words(f"-{name}", value))]

    def format_env_vars(self) -> list[str]:
        """Return the words that hand over variables: ``-x NAME=value``, and ``-x NAME`` of one without a value."""
        if self.flavour.is_hydra:  # which hands over everything that it has itself
            given = {name: value for name, value in self._env_vars.items() if value is not None}
            return [word for name, value in given.items() for word in ("-env", name, value)]
        variables = (name if value is None else f"{name}={value}" for name, value in self._env_vars.items())
        return [word for variable in variables for word in ("-x", variable)]

    def _environment_words(self) -> list[str]:
        words = self.format_env_vars()
        if self.flavour.is_hydra and ":" in words:  # a value that would part programs; it is inherited
            variables = zip(words[::3], words[1::3], words[2::3], strict=True)
            return [word for variable in variables if variable[-1] != ":" for word in variable]
        return words

    def _pinning(self, cpus: values.Option, run_args: dict[str, values.Option]) -> list[str]:
        """Return the words with which Hydra gives each rank some CPUs."""
        if cpus is None:
            return []
        if self.flavour is MpiFlavour.INTEL:
            return ["-env", "I_MPI_PIN_DOMAIN", str(cpus)]
        unit = str(run_args.pop("bind-to", "core"))
        return ["-bind-to", unit if unit == "none" or ":" in unit else f"{unit}:{cpus}"]

    def _walltime(self, walltime: str) -> values.Option:
        return values.seconds(walltime)

    def _option(self, setting: str) -> str | None:
        return None if setting in _MISSING[self.flavour] else super()._option(setting)

    def _place_words(self, place: StepPlace) -> list[str]:
        return ["-wdir" if self.flavour.is_hydra else "--wdir", place.working_directory]


class MpirunSettings(MpiSettings):
    """An executable that mpirun starts."""

    program: ClassVar[str] = "mpirun"


class MpiexecSettings(MpiSettings):
    """An executable that mpiexec starts."""

    program: ClassVar[str] = "mpiexec"


class OrterunSettings(MpiSettings):
    """An executable that orterun, of Open MPI, starts."""

    program: ClassVar[str] = "orterun"


def double_dashed(options: Mapping[str, values.Option]) -> list[str]:
    """Return the words for options as Open MPI takes them: ``--name value``, also ``--n 4``, and ``-x value``."""
    words = []
    for name, value in options.items():
        words += _words(f"-{name}" if len(name) == 1 and name != "n" else f"--{name}", value)
    return words


def _words(option: str, value: values.Option) -> list[str]:
    if value is False:
        return []
    return [option] if values.is_flag(value) else [option, str(value)]
