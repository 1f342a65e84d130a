"""What settings for programs that start ranks have in common."""

from __future__ import annotations

import shlex
from collections.abc import Collection
from typing import ClassVar

from smartsim.domain.errors import SSUnsupportedError
from smartsim.domain.resources import ResourceRequest
from smartsim.domain.settings import values
from smartsim.domain.settings.command import CommandLine, StepPlace
from smartsim.domain.settings.run import RunSettings
from smartsim.domain.settings.run_resources import ResourceOptions, requested


class RankSettings(RunSettings):
    """Settings for a program that starts ranks.

    A subclass has tables: `options` says what the program calls the generic settings, `reserved_run_args` which options
    are not the user's, and `resource_options` which of them ask for resources. And it overrides a method for each part
    of the command line that it writes in its own way.
    """

    program: ClassVar[str] = ""
    """The program that starts the ranks."""
    forwards: ClassVar[bool] = True
    """Whether it takes a variable without a value for that of the driver; otherwise it is an empty one."""
    unbinding: ClassVar[tuple[str, ...]] = ()
    """Options that let a wrapped application have all CPUs: the database that comes with it needs some."""
    contains_several: ClassVar[bool] = True
    """Whether programs that run together may have containers."""
    resource_options: ClassVar[ResourceOptions] = ResourceOptions()

    @property
    def run_command(self) -> str | None:
        """The program that starts the ranks."""
        return self._run_command or self.program or None

    def format_run_args(self) -> list[str]:
        """Return the options of the run command as words of its command line."""
        return values.option_words(self._run_args)

    def command_line(self, place: StepPlace, wrapper: tuple[str, ...] = ()) -> CommandLine:
        """Return the command line of a step; see `command.command_line`."""
        return CommandLine(self._launch(place, wrapper), self._application(place, wrapper))

    def variables(self) -> dict[str, str]:
        """Return the variables that are laid over the environment of the driver, for the run command to inherit."""
        if not self.forwards:
            return super().variables()
        return {name: value for name, value in self._env_vars.items() if value is not None}

    def resources(self) -> ResourceRequest | None:
        """Return what the options ask of an allocation; None when they do not say, or not in a way to be planned with.

        So it is for several programs in one: only the run command knows how they share nodes.
        """
        return None if self.mpmd else requested(self._run_args, self.resource_options)

    def _launch(self, place: StepPlace, wrapper: tuple[str, ...]) -> tuple[str, ...]:
        """Return the words before the application's own."""
        unbinding = self.unbinding if wrapper else ()
        command = (self.run_command,) if self.run_command else ()
        words = (*self._place_words(place), *self._environment_words(), *self.format_run_args())
        return (*command, *words, *unbinding)

    def _place_words(self, place: StepPlace) -> list[str]:
        """Return the options that say where a step runs, and where its output goes."""
        del place
        return []

    def _environment_words(self) -> list[str]:
        """Return the options that hand over variables."""
        return self.format_env_vars()

    def _accepted(self, run_args: dict[str, values.Option]) -> dict[str, values.Option]:
        named = values.bare(run_args)
        for name in self.reserved_run_args & named.keys():
            self._warn(f"Could not set argument '{name}': it is reserved, {type(self).__name__} sets it itself")
            del named[name]
        return named

    def _add_program(self, settings: RunSettings) -> None:
        """Add a program that runs together with this one.

        Raises:
            TypeError: these are no settings.
            SSUnsupportedError: see `ColonSettings.make_mpmd`.
        """
        if not isinstance(settings, RunSettings):
            raise TypeError(f"make_mpmd takes the settings of another program, not {settings!r}")
        if self.colocated_db_settings or settings.colocated_db_settings:
            raise SSUnsupportedError(
                "Colocated models cannot be run as a mpmd workload: give each program a model of its own"
            )
        if not self.contains_several and (self.container or settings.container):
            raise SSUnsupportedError(
                "Containerized MPMD workloads are not yet supported: give each program a model of its own"
            )
        if settings.ranks != self.ranks:
            raise SSUnsupportedError(
                f"{type(self).__name__} cannot run {settings.exe[0]} together with {self.exe[0]}: its settings are "
                f"{type(settings).__name__}. Make both with the same class"
            )
        self.mpmd.append(settings)


class ColonSettings(RankSettings):
    """Settings for a program that takes several programs on its command line, with a colon between them."""

    def make_mpmd(self, settings: RunSettings) -> None:
        """Run another program together with this one, as one parallel job.

        Args:
            settings: of the other program; of the same class.

        Raises:
            TypeError: these are no settings.
            SSUnsupportedError: one of them has a colocated database, or a container that this launcher does not start
                together with others, or is for another launcher.
        """
        self._add_program(settings)

    def _launch(self, place: StepPlace, wrapper: tuple[str, ...]) -> tuple[str, ...]:
        words = super()._launch(place, wrapper)
        self._refuse_colon(words)
        return words

    def _application(self, place: StepPlace, wrapper: tuple[str, ...]) -> tuple[str, ...]:
        words = list(_without_colon(super()._application(place, wrapper)))
        for settings in self.mpmd:
            if isinstance(settings, ColonSettings):
                options = settings._options_of_another(self, place)  # noqa: SLF001 - of this class
                self._refuse_colon(options)
                words += [":", *options, *settings._application(place, ())]  # noqa: SLF001 - of this class
        return tuple(words)

    def _options_of_another(self, first: ColonSettings, place: StepPlace) -> list[str]:
        """Return the options of a program that is not the first.

        Args:
            first: the settings of the first.
            place: of the step.
        """
        del first, place
        return [*self.format_run_args(), *self.format_env_vars()]

    def _refuse_colon(self, words: Collection[str]) -> None:
        """Do nothing when no option has a value that would be taken for the beginning of another program."""
        if ":" in words:
            raise ValueError(
                f"An option or variable of {self.exe[0]} is ':', by which {self.program} parts programs: {words!r}. "
                "Give it another value"
            )


def _without_colon(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the same command without a word that would be taken for the beginning of another program."""
    return ("/bin/sh", "-c", f"exec {shlex.join(words)}") if ":" in words else words
