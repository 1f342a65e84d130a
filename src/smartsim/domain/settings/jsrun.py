"""Job steps of IBM's JSM, on machines with LSF."""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import ClassVar

from smartsim.domain.resources import ResourceRequest
from smartsim.domain.settings import values
from smartsim.domain.settings.command import CommandLine, StepPlace
from smartsim.domain.settings.ranks import RankSettings
from smartsim.domain.settings.run import RunSettings
from smartsim.domain.settings.run_resources import count

ALL_HOSTS = "ALL_HOSTS"
"""A resource set on every host."""

_ERF_KEYS = ("host", "cpu", "gpu", "memory", "rank", "rank_count", "ranks")
_DISTRIBUTION = ("launch_distribution", "d")
# What an explicit resource file says instead.
_OF_RESOURCE_SETS = frozenset(
    {*_DISTRIBUTION, "nrs", "n", "np", "p", "tasks_per_rs", "a", "cpu_per_rs", "c", "gpu_per_rs", "g", "bind", "b"}
    | {"rs_per_host", "r", "memory_per_rs", "m", "latency_priority", "l"}
)


class JsrunSettings(RankSettings):
    """An executable that jsrun starts on resource sets: parts of nodes with CPUs and GPUs, each for some tasks.

    Attributes:
        individual_suffix: what is put before the endings of the output files, so that every task has its own.
        erf_sets: where the program runs that is one of several; see `set_erf_sets`.
        mpmd_preamble_lines: the lines that the description of several programs begins with.
    """

    ranks: ClassVar[str] = "jsrun"
    program: ClassVar[str] = "jsrun"
    unbinding: ClassVar[tuple[str, ...]] = ("--bind", "none")
    reserved_run_args: ClassVar[set[str]] = {"chdir", "h"}
    options: ClassVar[Mapping[str, str]] = {
        "tasks": "np",
        "tasks_per_node": "tasks_per_rs",
        "cpus_per_task": "cpu_per_rs",
        "memory_per_node": "memory_per_rs",
        "binding": "bind",
    }

    individual_suffix: str = ""
    mpmd_preamble_lines: tuple[str, ...] = ()
    erf_sets: Mapping[str, str] = MappingProxyType({"host": "*", "cpu": "*", "ranks": "1"})

    def set_num_rs(self, num_rs: int | str) -> None:
        """Set the number of resource sets, at least 1, or ``ALL_HOSTS`` for one on every host."""
        self.run_args["nrs"] = ALL_HOSTS if num_rs == ALL_HOSTS else values.positive("num_rs", num_rs)

    def set_cpus_per_rs(self, cpus_per_rs: int) -> None:
        """Set the number of CPUs of each resource set, at least 1.

        Raises:
            TypeError: it is no number.
            ValueError: it cannot be, or is too small for the colocated database.
        """
        cpus = values.positive("cpus_per_rs", cpus_per_rs)
        database = int((self.colocated_db_settings or {}).get("cpus", 0))
        if cpus < database:
            raise ValueError(
                f"cpus_per_rs is {cpus}, and the colocated database alone has {database} CPUs (db_cpus): give the "
                "resource sets more"
            )
        self.run_args["cpu_per_rs"] = cpus

    def set_gpus_per_rs(self, gpus_per_rs: int) -> None:
        """Set the number of GPUs of each resource set, from 0."""
        self.run_args["gpu_per_rs"] = values.positive("gpus_per_rs", gpus_per_rs, at_least=0)

    def set_rs_per_host(self, rs_per_host: int) -> None:
        """Set the number of resource sets on each host, at least 1."""
        self.run_args["rs_per_host"] = values.positive("rs_per_host", rs_per_host)

    def set_tasks_per_rs(self, tasks_per_rs: int) -> None:
        """Set the number of tasks of each resource set, at least 1."""
        self.run_args["tasks_per_rs"] = values.positive("tasks_per_rs", tasks_per_rs)

    def set_memory_per_rs(self, memory_per_rs: int) -> None:
        """Set the memory of each resource set, in megabytes."""
        self.run_args["memory_per_rs"] = values.positive("memory_per_rs", memory_per_rs)

    def set_tasks_per_node(self, tasks_per_node: int) -> None:
        """Set the number of tasks of each resource set; an alias of `set_tasks_per_rs`."""
        self.set_tasks_per_rs(tasks_per_node)

    def set_cpus_per_task(self, cpus_per_task: int) -> None:
        """Set the number of CPUs of each resource set; an alias of `set_cpus_per_rs`."""
        self.set_cpus_per_rs(cpus_per_task)

    def set_memory_per_node(self, memory_per_node: int) -> None:
        """Set the memory of each resource set, in megabytes; an alias of `set_memory_per_rs`."""
        self.set_memory_per_rs(memory_per_node)

    def set_individual_output(self, suffix: str | None = None) -> None:
        """Have each task write to files of its own.

        Args:
            suffix: what is put before the endings of their names, such as ``_%t``, for which jsrun puts the task.

        Raises:
            TypeError: it is no string.
        """
        self.run_args["stdio_mode"] = "individual"
        if suffix:
            self.individual_suffix = values.text("suffix", suffix)

    def set_erf_sets(self, erf_sets: Mapping[str, str]) -> None:
        """Set where this program runs when it is one of several.

        Args:
            erf_sets: the resources, in the words of an explicit resource file: ``host``, ``cpu``, ``gpu``, ``memory``;
                and either ``rank``, the number of a rank, or ``rank_count``, how many ranks.

        Raises:
            TypeError: it is no dictionary of strings.
            ValueError: a key has no meaning.

        Example:
            >>> settings = JsrunSettings("solver")
            >>> settings.set_erf_sets({"host": "1", "cpu": "{0:4}", "rank_count": "2"})
        """
        if not isinstance(erf_sets, Mapping) or not all(isinstance(value, str) for value in erf_sets.values()):
            raise TypeError(f"erf_sets must be a dict of str to str, not {erf_sets!r}")
        unknown = [key for key in erf_sets if key not in _ERF_KEYS]
        if unknown:
            raise ValueError(f"erf_sets cannot have {', '.join(map(repr, unknown))}: choose among {_ERF_KEYS}")
        self.erf_sets = dict(erf_sets)

    def set_mpmd_preamble(self, preamble_lines: list[str]) -> None:
        """Set lines that come first in the description of several programs run as one.

        Raises:
            TypeError: it is no list of strings.
        """
        self.mpmd_preamble_lines = tuple(values.texts("preamble_lines", preamble_lines))

    def make_mpmd(self, settings: RunSettings) -> None:
        """Run another program together with this one, as one parallel job; `set_erf_sets` of each says where.

        Args:
            settings: of the other program; of the same class.

        Raises:
            TypeError: these are no settings.
            SSUnsupportedError: one of them has a colocated database, or is for another launcher.
        """
        self._add_program(settings)

    def format_env_vars(self) -> list[str]:
        """Return the words that hand over variables: ``-E NAME=value``, and ``-E NAME`` of one without a value."""
        variables = (name if value is None else f"{name}={value}" for name, value in self._env_vars.items())
        return [word for variable in variables for word in ("-E", variable)]

    def command_line(self, place: StepPlace, wrapper: tuple[str, ...] = ()) -> CommandLine:
        """Return the command line of a step; that of several programs reads a file which describes them.

        Raises:
            ValueError: the command of one of several programs is more than one line.
        """
        if not self.mpmd:
            return super().command_line(place, wrapper)
        path = posixpath.join(place.working_directory, f"{place.entity}.mpmd")
        launch = (self.run_command or self.program, *self._place_words(place), *self._environment_words())
        kept = {name: value for name, value in self._run_args.items() if name not in _OF_RESOURCE_SETS}
        content = "\n".join(self._explicit_resources(place)).encode()
        return CommandLine((*launch, *values.option_words(kept)), ("--erf_input", path), {path: content})

    def resources(self) -> ResourceRequest | None:
        """Return what the options ask of an allocation; see `RankSettings.resources`.

        Where it is not said how many resource sets a host has, only jsrun knows which nodes they will share.
        """
        if self.mpmd:
            return None
        try:
            return _request(self._run_args)
        except ValueError:  # in words that only jsrun understands
            return None

    def _place_words(self, place: StepPlace) -> list[str]:
        outputs = ["--stdio_stdout", self._individual(place.stdout), "--stdio_stderr", self._individual(place.stderr)]
        return ["--chdir", place.working_directory, *outputs]

    def _individual(self, path: str) -> str:
        stem, ending = posixpath.splitext(path)
        return f"{stem}{self.individual_suffix}{ending}"

    def _explicit_resources(self, place: StepPlace) -> list[str]:
        """Return the lines of a file that describes several programs."""
        programs = list(self._programs())
        given = (self._run_args[name] for name in _DISTRIBUTION if name in self._run_args)
        lines = list(self.mpmd_preamble_lines)
        distribution = [line for line in lines if line.partition(":")[0].strip() == "launch_distribution"]
        first = distribution or [f"launch_distribution : {next(given, 'packed')}"]
        return [
            *first,
            *(line for line in lines if line not in distribution),
            "",
            *(f"app {i} : {program.application_line(self, place)}" for i, program in enumerate(programs)),
            "",
            *(f"{_resources(program.erf_sets)}: app {i}" for i, program in enumerate(programs)),
            "",
        ]

    def application_line(self, first: JsrunSettings, place: StepPlace) -> str:
        """Return the command of one of several programs, quoted.

        Args:
            first: the settings of the first program; jsrun hands its variables to all.
            place: of the step.

        Raises:
            ValueError: it is more than one line.
        """
        own = {name: value for name, value in self.variables().items() if first.env_vars.get(name) != value}
        given = ["env", *(f"{name}={value}" for name, value in own.items())] if own else []
        command = shlex.join([*given, *self._application(place, ())])
        if "\n" in command or "\r" in command:
            raise ValueError(
                f"{command!r} cannot be one of several programs of jsrun: its file has a line for each, and this has "
                "more than one. Put the argument into a file"
            )
        return command

    def _programs(self) -> Iterator[JsrunSettings]:
        """Yield the settings of all programs, these first."""
        yield self
        for settings in self.mpmd:
            if isinstance(settings, JsrunSettings):
                yield from settings._programs()  # noqa: SLF001 - of this class


def _resources(erf_sets: Mapping[str, str]) -> str:
    """Return how many ranks a program has, or which, and where, as an explicit resource file says it."""
    ranks = erf_sets.get("rank_count", erf_sets.get("ranks", "1"))
    who = f"rank: {erf_sets['rank']}" if "rank" in erf_sets else ranks
    what = [f"{key}: {erf_sets[key]}" for key in ("host", "cpu", "gpu", "memory") if key in erf_sets]
    return f"{who}: {{ {'; '.join(what)} }}"


def _request(run_args: Mapping[str, values.Option]) -> ResourceRequest | None:
    """Return what resource sets ask of an allocation, if it does not depend on how jsrun lays them over hosts."""
    sets = count(run_args, ("nrs", "n"))
    tasks_per_set = count(run_args, ("tasks_per_rs", "a"))
    cpus = count(run_args, ("cpu_per_rs", "c"))
    gpus = count(run_args, ("gpu_per_rs", "g"))
    per_host = count(run_args, ("rs_per_host", "r"))
    if gpus and not per_host and sets > 1:
        return None
    request = ResourceRequest(
        tasks=count(run_args, ("np", "p")) or sets * (tasks_per_set or 1),
        nodes=-(-sets // per_host) if per_host else 0,
        tasks_per_node=per_host * (tasks_per_set or 1),
        cpus_per_task=max(1, -(-cpus // (tasks_per_set or 1))),
        gpus_per_node=gpus * (per_host or 1),
    )
    return None if request == ResourceRequest() else request
