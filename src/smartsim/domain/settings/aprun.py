"""Applications of Cray's ALPS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from smartsim.domain.settings import values
from smartsim.domain.settings.command import StepPlace
from smartsim.domain.settings.ranks import ColonSettings
from smartsim.domain.settings.run_resources import ResourceOptions

_VERBOSE = 7  # the level of --debug


class AprunSettings(ColonSettings):
    """An executable that aprun starts in a reservation of ALPS."""

    ranks: ClassVar[str] = "aprun"
    program: ClassVar[str] = "aprun"
    contains_several: ClassVar[bool] = False
    forwards: ClassVar[bool] = False
    unbinding: ClassVar[tuple[str, ...]] = ("--cc", "none")
    reserved_run_args: ClassVar[set[str]] = {"wdir"}
    options: ClassVar[Mapping[str, str]] = {
        "tasks": "pes",
        "tasks_per_node": "pes-per-node",
        "cpus_per_task": "cpus-per-pe",
        "hostlist": "node-list",
        "hostlist_from_file": "node-list-file",
        "excluded_hosts": "exclude-node-list",
        "cpu_bindings": "cpu-binding",
        "memory_per_node": "memory-per-pe",
        "quiet_launch": "quiet",
        "walltime": "cpu-time-limit",
    }
    resource_options: ClassVar[ResourceOptions] = ResourceOptions(
        tasks=("pes", "n"),
        tasks_per_node=("pes-per-node", "N"),
        cpus_per_task=("cpus-per-pe", "d"),
        hosts=("node-list", "L"),
        excluded_hosts=("exclude-node-list", "E"),
    )

    def set_verbose_launch(self, verbose: bool) -> None:
        """Set whether aprun tells what it does."""
        if verbose:
            self.run_args["debug"] = _VERBOSE
        else:
            self.run_args.pop("debug", None)

    def format_env_vars(self) -> list[str]:
        """Return the words that hand over variables: ``-e NAME=value``."""
        return [word for variable in super().format_env_vars() for word in ("-e", variable)]

    def _walltime(self, walltime: str) -> values.Option:
        return values.seconds(walltime)

    def _place_words(self, place: StepPlace) -> list[str]:
        return ["--wdir", place.working_directory]
