"""Ranks of HPE's PALS (Parallel Application Launch Service)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from smartsim.domain.settings import values
from smartsim.domain.settings.command import StepPlace
from smartsim.domain.settings.mpi import MpiCommandSettings, double_dashed
from smartsim.domain.settings.ranks import ColonSettings
from smartsim.domain.settings.run_resources import ResourceOptions


class PalsMpiexecSettings(MpiCommandSettings):
    """An executable that the mpiexec of PALS starts."""

    ranks: ClassVar[str] = "pals"
    program: ClassVar[str] = "mpiexec"
    options: ClassVar[Mapping[str, str]] = {
        "tasks": "np",
        "tasks_per_node": "ppn",
        "hostlist": "hosts",
        "hostlist_from_file": "hostfile",
        "verbose_launch": "verbose",
        "broadcast": "transfer",
        "cpu_binding_type": "cpu-bind",
    }
    resource_options: ClassVar[ResourceOptions] = ResourceOptions(
        tasks=("np", "n"),
        tasks_per_node=("ppn",),
        cpus_per_task=("depth", "d"),
        hosts=("hosts", "host"),
    )

    affinity_script: tuple[str, ...] = ()

    def set_gpu_affinity_script(self, affinity: str, *args: str | int) -> None:
        """Set a script that gives each rank its GPUs and then starts the application.

        Args:
            affinity: the script's path.
            *args: its own arguments, before the application's command.

        Raises:
            TypeError: the path is no string, or an argument neither a string nor a number.
            ValueError: an argument is a colon, by which mpiexec parts programs.

        Example:
            >>> settings = PalsMpiexecSettings("/opt/solver")
            >>> settings.set_gpu_affinity_script("/opt/affinity.sh", 1)
            >>> settings.format_run_args()
            ['/opt/affinity.sh', '1']
        """
        for argument in args:
            if not isinstance(argument, str | int):
                raise TypeError(f"an argument of the affinity script must be a str or an int, not {argument!r}")
            if argument == ":":
                raise ValueError("an argument of the affinity script cannot be ':': mpiexec parts programs by it")
        self.affinity_script = (values.text("affinity", affinity), *map(str, args))

    def format_run_args(self) -> list[str]:
        """Return the options of mpiexec as words of its command line, and after them the affinity script."""
        return [*double_dashed(self._run_args), *self.affinity_script]

    def format_env_vars(self) -> list[str]:
        """Return the words that hand over variables: ``--env NAME=value``, ``--envlist`` for those without a value."""
        given = {name: value for name, value in self._env_vars.items() if value is not None}
        words = [word for name, value in given.items() for word in ("--env", f"{name}={value}")]
        names = [name for name in self._env_vars if name not in given]
        return [*words, "--envlist", ",".join(names)] if names else words

    def _place_words(self, place: StepPlace) -> list[str]:
        return ["--wdir", place.working_directory]

    def _options_of_another(self, first: ColonSettings, place: StepPlace) -> list[str]:
        del first, place
        return [*self.format_env_vars(), *self.format_run_args()]
