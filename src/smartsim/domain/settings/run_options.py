"""Settings that users give without knowing the launcher, and what each launcher calls them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from smartsim.domain.settings import values
from smartsim.domain.settings.base import SettingsBase
from smartsim.domain.walltime import walltime_seconds

if TYPE_CHECKING:
    from smartsim.domain.settings.run import RunSettings


class RunOptions(SettingsBase):
    """The generic setters of run settings.

    A setter checks its argument and stores it as an option of the run command. Which option, the class says in
    `options`: a launcher that counts nodes with ``--nodes`` and tasks with ``-n`` has there ``{"nodes": "nodes",
    "tasks": "n"}``, and overrides a setter only where it writes a value in its own way. What is not in the table is not
    supported: the user is warned, and the setting has no effect.
    """

    options: ClassVar[Mapping[str, str]] = {}
    """The run command's name of each generic setting that it has; the keys are the setters' names without ``set_``."""

    run_args: dict[str, values.Option]

    def set_nodes(self, nodes: int) -> None:
        """Set the number of nodes, at least 1."""
        self._set_option("nodes", "Node", values.positive("nodes", nodes))

    def set_tasks(self, tasks: int) -> None:
        """Set the number of tasks (ranks), at least 1."""
        self._set_option("tasks", "Task", values.positive("tasks", tasks))

    def set_tasks_per_node(self, tasks_per_node: int) -> None:
        """Set the number of tasks on each node, at least 1."""
        self._set_option("tasks_per_node", "Task per node", values.positive("tasks_per_node", tasks_per_node))

    def set_task_map(self, task_mapping: str) -> None:
        """Set how tasks are laid over the hardware, in the words of the run command."""
        self._set_option("task_map", "Task mapping", values.text("task_mapping", task_mapping))

    def set_cpus_per_task(self, cpus_per_task: int) -> None:
        """Set the number of CPUs of each task, at least 1."""
        self._set_option("cpus_per_task", "CPU per task", values.positive("cpus_per_task", cpus_per_task))

    def set_hostlist(self, host_list: str | list[str]) -> None:
        """Set the hosts to run on."""
        self._set_option("hostlist", "Hostlist", ",".join(values.texts("host_list", host_list)))

    def set_hostlist_from_file(self, file_path: str) -> None:
        """Set a file that lists the hosts to run on."""
        self._set_option("hostlist_from_file", "Hostlist from file", values.text("file_path", file_path))

    def set_excluded_hosts(self, host_list: str | list[str]) -> None:
        """Set the hosts to stay away from."""
        self._set_option("excluded_hosts", "Excluded host list", ",".join(values.texts("host_list", host_list)))

    def set_cpu_bindings(self, bindings: int | list[int]) -> None:
        """Set the CPUs that the tasks are bound to, numbered from 0."""
        self._set_option(
            "cpu_bindings", "CPU binding", ",".join(map(str, values.indices("a CPU to bind to", bindings)))
        )

    def set_memory_per_node(self, memory_per_node: int) -> None:
        """Set the memory on each node, in megabytes."""
        self._set_option("memory_per_node", "Memory per node", values.positive("memory_per_node", memory_per_node))

    def set_verbose_launch(self, verbose: bool) -> None:
        """Set whether the run command tells what it does."""
        self._switch("verbose_launch", "Verbose launch", on=verbose)

    def set_quiet_launch(self, quiet: bool) -> None:
        """Set whether the run command keeps quiet about what it does."""
        self._switch("quiet_launch", "Quiet launch", on=quiet)

    def set_broadcast(self, dest_path: str | None = None) -> None:
        """Have the executable copied to every node before it runs, to a given path or the launcher's own choice."""
        destination = None if dest_path is None else values.text("dest_path", dest_path)
        self._set_option("broadcast", "Broadcast", destination)

    def set_node_feature(self, feature_list: str | list[str]) -> None:
        """Set the features that the nodes must have."""
        self._set_option("node_feature", "Node feature", ",".join(values.texts("feature_list", feature_list)))

    def set_binding(self, binding: str) -> None:
        """Set how tasks are bound to the hardware, in the words of the run command."""
        self._set_option("binding", "Binding", values.text("binding", binding))

    def set_walltime(self, walltime: str) -> None:
        """Set how long the application may run.

        Args:
            walltime: ``HH:MM:SS``, ``D-HH:MM:SS``, or in another form that the launcher takes.

        Raises:
            TypeError: it is no string.
            ValueError: it is no walltime.
        """
        self._set_option("walltime", "Walltime", self._walltime(values.text("walltime", walltime)))

    def set_time(self, hours: int = 0, minutes: int = 0, seconds: int = 0) -> None:
        """Set how long the application may run.

        Raises:
            TypeError: a number is no integer.
            ValueError: a number is negative.
        """
        self.set_walltime(self._format_walltime(walltime_seconds(hours, minutes, seconds)))

    def set_mpmd_preamble(self, preamble_lines: list[str]) -> None:
        """Set lines that come first in the description of several programs run as one."""
        values.texts("preamble_lines", preamble_lines)
        self._unsupported("MPMD preamble")

    def make_mpmd(self, settings: RunSettings) -> None:
        """Run another program together with this one, as one parallel job."""
        self._unsupported(f"Multiple program ({settings.exe[0]})")

    def _format_walltime(self, seconds: int) -> str:
        """Return a walltime as this launcher writes it."""
        return str(seconds)

    def _walltime(self, walltime: str) -> values.Option:
        """Return a walltime, as the user gave it, in the form that the launcher takes."""
        return walltime

    def _option(self, setting: str) -> str | None:
        """Return the run command's name of a generic setting; None when it has none."""
        return self.options.get(setting)

    def _set_option(self, setting: str, title: str, value: values.Option) -> None:
        option = self._option(setting)
        if option is None:
            self._unsupported(title)
        else:
            self.run_args[option] = value

    def _switch(self, setting: str, title: str, *, on: bool) -> None:
        option = self._option(setting)
        if option is None:
            self._unsupported(title)
        elif on:
            self.run_args[option] = None
        else:
            self.run_args.pop(option, None)

    def _unsupported(self, title: str) -> None:
        self._warn(f"{title} specification not implemented for this RunSettings type: {type(self).__name__}")
