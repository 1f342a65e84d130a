"""Steps of Slurm."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import ClassVar

from smartsim.domain.integers import integer
from smartsim.domain.resources import ResourceRequest
from smartsim.domain.settings import values
from smartsim.domain.settings.command import StepPlace
from smartsim.domain.settings.ranks import ColonSettings
from smartsim.domain.settings.run import RunSettings
from smartsim.domain.settings.run_resources import ResourceOptions, requested
from smartsim.domain.walltime import format_walltime

# What --time takes: minutes, MM:SS, HH:MM:SS, D-HH, D-HH:MM, D-HH:MM:SS [srun(1)].
_TIME = re.compile(r"[0-9]+(:[0-9]+){0,2}|[0-9]+-[0-9]+(:[0-9]+){0,2}|infinite|unlimited", re.IGNORECASE | re.ASCII)
# --export ends a value at a comma, and takes quotes for its own.
_NOT_FOR_EXPORT = re.compile("[,'\"]")
_GPU = re.compile(r"gpu(:[A-Za-z_][^:,]*)?(:(?P<count>[0-9]+))?", re.ASCII)

_SHARING = frozenset({"exact", "exclusive", "overlap"})  # how a step shares nodes with others


class SrunSettings(ColonSettings):
    """An executable that srun starts as a step of an allocation of Slurm.

    Attributes:
        alloc: the allocation to run in; None for that of the driver.
    """

    ranks: ClassVar[str] = "srun"
    program: ClassVar[str] = "srun"
    contains_several: ClassVar[bool] = False
    reserved_run_args: ClassVar[set[str]] = {"chdir", "D"}
    options: ClassVar[Mapping[str, str]] = {
        "nodes": "nodes",
        "tasks": "ntasks",
        "tasks_per_node": "ntasks-per-node",
        "cpus_per_task": "cpus-per-task",
        "hostlist": "nodelist",
        "hostlist_from_file": "nodefile",
        "excluded_hosts": "exclude",
        "cpu_bindings": "cpu_bind",
        "memory_per_node": "mem",
        "verbose_launch": "verbose",
        "quiet_launch": "quiet",
        "broadcast": "bcast",
        "node_feature": "C",
        "walltime": "time",
    }
    resource_options: ClassVar[ResourceOptions] = ResourceOptions(
        tasks=("ntasks", "n"),
        nodes=("nodes", "N"),
        tasks_per_node=("ntasks-per-node",),
        cpus_per_task=("cpus-per-task", "c"),
        gpus=("gpus", "G"),
        gpus_per_node=("gpus-per-node",),
        gpus_per_task=("gpus-per-task",),
        hosts=("nodelist", "w"),
        excluded_hosts=("exclude", "x"),
    )

    alloc: str | None = None

    @property
    def allocation(self) -> str | None:
        """The allocation that was named to run in; None for that of the driver."""
        return self.alloc

    def set_cpu_bindings(self, bindings: int | list[int]) -> None:
        """Set the CPUs that the tasks are bound to, numbered from 0: the first task to the first, and so on."""
        cpus = values.indices("a CPU to bind to", bindings)
        self._set_option("cpu_bindings", "CPU binding", f"map_cpu:{','.join(map(str, cpus))}")

    def set_memory_per_node(self, memory_per_node: int) -> None:
        """Set the memory on each node, in megabytes."""
        memory = values.positive("memory_per_node", memory_per_node)
        self._set_option("memory_per_node", "Memory per node", f"{memory}M")

    def set_het_group(self, het_group: Iterable[int]) -> None:
        """Set the components of a heterogeneous job that the application runs on; this is experimental.

        Args:
            het_group: their numbers, from 0.

        Raises:
            TypeError, ValueError: a number cannot be.
            ValueError: the driver does not run in a heterogeneous job, or that has fewer components, or these settings
                are for several programs.
        """
        size = self._het_size()
        if size is None:
            raise ValueError(
                "A het group was given, and this driver runs in no heterogeneous job (SLURM_HET_SIZE is not set): get "
                "one from salloc or sbatch, with a colon between its components"
            )
        if self.mpmd:
            raise ValueError("Slurm does not run MPMD workloads in heterogeneous jobs: give each program a model")
        groups = [integer("a het group", group) for group in het_group]
        if not groups or max(groups) >= size:
            raise ValueError(f"het group {groups} cannot be: the job has {size} components, numbered from 0")
        self._warn("Support for heterogeneous groups is an experimental feature")
        self.run_args["het-group"] = ",".join(map(str, groups))

    def make_mpmd(self, settings: RunSettings) -> None:
        """Run another program together with this one, as one parallel job; each has nodes of its own.

        Args:
            settings: of the other program; also of this class.

        Raises:
            TypeError: these are no settings.
            SSUnsupportedError: one of them has a container or a colocated database, or is for another launcher.
            ValueError: the driver runs in a heterogeneous job.
        """
        if self._het_size() is not None:
            raise ValueError("Slurm does not run MPMD workloads in heterogeneous jobs: give each program a model")
        super().make_mpmd(settings)

    def format_env_vars(self) -> list[str]:
        """Return the variables that can be written into ``--export``, each as ``NAME=value``."""
        return [f"{name}={value}" for name, value in self._env_vars.items() if _exports(value)]

    def format_comma_sep_env_vars(self) -> tuple[str, list[str]]:
        """Return what ``--export`` is given.

        Returns:
            The variables with commas between them, those without a value or with one that ``--export`` would take apart
            by name only; and the latter as ``NAME=value``, also those of further programs: srun has to find them in its
            environment.

        Example:
            >>> SrunSettings("solver", env_vars={"A": 1, "B": "x,y", "C": None}).format_comma_sep_env_vars()
            ('A=1,B,C', ['B=x,y'])
        """
        everything = [self.env_vars, *(settings.env_vars for settings in self.mpmd)]
        compound = [
            f"{name}={value}"
            for variables in everything
            for name, value in variables.items()
            if value is not None and not _exports(value)
        ]
        return ",".join(self._exported()), compound

    def check_env_vars(self) -> None:
        """Warn of variables that have another value in the environment of the driver."""
        inherited = self._inherited()
        for name, value in self._env_vars.items():
            if value is not None and inherited.get(name, value) != value:
                self._warn(f"Variable {name} is {inherited[name]} in the current environment: the step gets {value}")

    def resources(self) -> ResourceRequest | None:
        """Return what the options ask of an allocation; see `RankSettings.resources`."""
        if self.mpmd or "het-group" in self._run_args:
            return None
        run_args = dict(self._run_args)
        run_args.setdefault("gpus-per-node", _gpus(str(run_args.get("gres", ""))))
        return requested(run_args, self.resource_options)

    def _place_words(self, place: StepPlace) -> list[str]:
        outputs = ["--output", _pattern(place.stdout), "--error", _pattern(place.stderr), "--open-mode=append"]
        if "\\" in place.stdout + place.stderr:
            outputs = []  # srun drops backslashes from names; without names it writes to the files of its own process
        allocation = ["--jobid", self.alloc] if self.alloc is not None and not self.in_batch else []
        # Members of one job share its nodes, and are to have cores of their own there.
        own_cores = ["--exact"] if self.in_batch and not _SHARING.intersection(self._run_args) else []
        return [*outputs, "--job-name", place.name, *allocation, *own_cores]

    def _environment_words(self) -> list[str]:
        return ["--export", ",".join(["ALL", *self._exported()])] if self._env_vars else []

    def _exported(self) -> list[str]:
        """Return what ``--export`` says of each variable; ALL hands over those that it cannot name."""
        variables = {name: value for name, value in self._env_vars.items() if not _NOT_FOR_EXPORT.search(name)}
        return [f"{name}={value}" if _exports(value) else name for name, value in variables.items()]

    def _options_of_another(self, first: ColonSettings, place: StepPlace) -> list[str]:
        # srun's own environment, which all programs share, goes before what --export says.
        shared = {**self._inherited(), **first.variables()}
        own = [
            f"{name}={value}"
            for name, value in self._env_vars.items()
            if value is not None and (not _exports(value) or shared.get(name, value) != value)
        ]
        given = ["env", *own] if own else []
        return [*self.format_run_args(), "--job-name", place.name, *self._environment_words(), *given]

    def _inherited(self) -> Mapping[str, str]:
        """Return the environment of the driver; here there is none."""
        return {}

    def _het_size(self) -> int | None:
        size = self._inherited().get("SLURM_HET_SIZE")
        return int(size) if size else None

    def _walltime(self, walltime: str) -> values.Option:
        if not _TIME.fullmatch(walltime.strip()):
            raise ValueError(f"{walltime!r} is not a walltime of Slurm: write it as HH:MM:SS, D-HH:MM:SS or in minutes")
        return walltime.strip()

    def _format_walltime(self, seconds: int) -> str:
        return format_walltime(seconds)


def _exports(value: str | None) -> bool:
    """Return whether ``--export`` can be given a variable with its value."""
    return value is not None and not _NOT_FOR_EXPORT.search(value)


def _pattern(path: str) -> str:
    """Return the name of a file as srun takes it, which has patterns for numbers of tasks and jobs."""
    return path.replace("%", "%%")


def _gpus(gres: str) -> int:
    """Return how many GPUs generic resources are, such as ``gpu:a100:2,nvme:1``."""
    matches = map(_GPU.fullmatch, gres.split(","))
    return sum(int(match["count"] or 1) for match in matches if match)
