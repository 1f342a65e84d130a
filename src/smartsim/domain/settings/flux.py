"""Jobs of Flux that are waited for: flux run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from smartsim.domain.resources import ResourceRequest
from smartsim.domain.settings import values
from smartsim.domain.settings.command import StepPlace
from smartsim.domain.settings.ranks import RankSettings
from smartsim.domain.settings.run_resources import ResourceOptions, requested

# A duration of Flux (RFC 23); without a unit it is minutes for --time-limit.
_DURATION = re.compile(r"[0-9]+(\.[0-9]*)?(ms|[smhd])?", re.ASCII)


class FluxRunSettings(RankSettings):
    """An executable that ``flux run`` starts in an instance of Flux.

    Example:
        >>> settings = FluxRunSettings("solver", env_vars={"A": 1})
        >>> settings.set_tasks(4)
        >>> settings.set_hostlist(["n1", "n2"])
        >>> settings.format_run_args()
        ['--ntasks=4', '--requires=host:n1,n2']
    """

    ranks: ClassVar[str] = "flux"
    program: ClassVar[str] = "flux"
    reserved_run_args: ClassVar[set[str]] = {"cwd", "job-name"}
    options: ClassVar[Mapping[str, str]] = {
        "nodes": "nodes",
        "tasks": "ntasks",
        "tasks_per_node": "tasks-per-node",
        "cpus_per_task": "cores-per-task",
        "verbose_launch": "verbose",
        "quiet_launch": "quiet",
        "walltime": "time-limit",
        "queue": "queue",
        "gpus_per_task": "gpus-per-task",
    }
    resource_options: ClassVar[ResourceOptions] = ResourceOptions(
        tasks=("ntasks", "n"),
        nodes=("nodes", "N"),
        tasks_per_node=("tasks-per-node",),
        cpus_per_task=("cores-per-task", "c"),
        gpus_per_node=("gpus-per-node",),
        gpus_per_task=("gpus-per-task", "g"),
        hosts=("hosts",),
        excluded_hosts=("excluded hosts",),
        whole_nodes=("exclusive", "x"),
    )

    hosts: tuple[str, ...] = ()
    excluded_hosts: tuple[str, ...] = ()
    properties: tuple[str, ...] = ()

    def set_hostlist(self, host_list: str | list[str]) -> None:
        """Set the hosts to run on."""
        self.hosts = tuple(values.texts("host_list", host_list))

    def set_excluded_hosts(self, host_list: str | list[str]) -> None:
        """Set the hosts to stay away from."""
        self.excluded_hosts = tuple(values.texts("host_list", host_list))

    def set_node_feature(self, feature_list: str | list[str]) -> None:
        """Set the properties that the nodes must have."""
        self.properties = tuple(values.texts("feature_list", feature_list))

    def set_gpus_per_task(self, gpus_per_task: int) -> None:
        """Set the number of GPUs of each task, from 0."""
        gpus = values.positive("gpus_per_task", gpus_per_task, at_least=0)
        self._set_option("gpus_per_task", "GPU per task", gpus)

    def set_queue(self, queue: str) -> None:
        """Set the queue to run in."""
        self._set_option("queue", "Queue", values.text("queue", queue))

    def format_run_args(self) -> list[str]:
        """Return the options of ``flux run`` as words of its command line."""
        run_args = dict(self._run_args)
        constraints = [str(run_args.pop("requires"))] if "requires" in run_args else []
        constraints += self.properties
        constraints += [f"host:{','.join(self.hosts)}"] if self.hosts else []
        constraints += [f"not host:{','.join(self.excluded_hosts)}"] if self.excluded_hosts else []
        joined = " and ".join(f"({one})" for one in constraints) if len(constraints) > 1 else "".join(constraints)
        return values.option_words({**run_args, "requires": joined} if joined else run_args)

    def format_env_vars(self) -> list[str]:
        """Return the rules for variables: ``--env=NAME=value``, and ``--env=NAME`` of one without a value.

        A value with a dollar sign, after which Flux would look for the name of a variable, is inherited.
        """
        return [
            f"--env={name}" if value is None or "$" in value else f"--env={name}={value}"
            for name, value in self._env_vars.items()
        ]

    def resources(self) -> ResourceRequest | None:
        """Return what the options ask of an allocation; see `RankSettings.resources`."""
        if "requires" in self._run_args:
            return None
        named = {"hosts": ",".join(self.hosts), "excluded hosts": ",".join(self.excluded_hosts)}
        return requested({**self._run_args, **named}, self.resource_options)

    def _walltime(self, walltime: str) -> values.Option:
        walltime = walltime.strip()
        return walltime if _DURATION.fullmatch(walltime) else f"{values.seconds(walltime)}s"

    def _format_walltime(self, seconds: int) -> str:
        return f"{seconds}s"

    def _place_words(self, place: StepPlace) -> list[str]:
        return ["run", f"--job-name={place.name}"]
