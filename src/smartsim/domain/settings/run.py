"""How an application is run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from smartsim.domain.resources import ResourceRequest
from smartsim.domain.settings import values
from smartsim.domain.settings.command import CommandLine, StepPlace
from smartsim.domain.settings.container import Container
from smartsim.domain.settings.run_options import RunOptions


class RunSettings(RunOptions):
    """An executable with its arguments and environment, and the command that starts it.

    Settings for one launcher are a subclass of `RankSettings`.

    Args:
        exe: the program.
        exe_args: its arguments: a list is handed over word by word as it is, a string is split at blanks.
        run_command: the program that starts it, or empty to start it directly.
        run_args: options of the run command.
        env_vars: variables laid over the environment of the driver; None stands for one without a value.
        container: what to run it in.

    Raises:
        TypeError: an argument has another type.
        ValueError: a word or variable cannot be handed to a program.

    Attributes:
        exe: the program, as a list of one.
        in_batch: whether the application runs inside a batch job of ours.
        mpmd: settings of further programs that run together with this one.
        colocated_db_settings: the database on the same nodes, if there is one; see `Model.colocate_db_tcp`.
        container_program: runs the container's image.
    """

    ranks: ClassVar[str] = ""
    """What starts the ranks: "srun", "mpirun", "aprun", "pals", "jsrun", "flux", "dragon"; empty when it is unknown."""
    reserved_run_args: ClassVar[set[str]] = set()
    """Options of the run command that cannot be set, because the launcher sets them."""

    def __init__(
        self,
        exe: str,
        exe_args: str | list[str] | None = None,
        run_command: str | None = "",
        run_args: Mapping[str, values.Option] | None = None,
        env_vars: Mapping[str, str | float | None] | None = None,
        container: Container | None = None,
    ) -> None:
        if not values.text("exe", exe):
            raise ValueError("exe is empty: give the name or the path of an executable")
        if container is not None and not isinstance(container, Container):
            raise TypeError(f"container must be a Container, such as Singularity, not {container!r}")
        self.exe = [exe]
        self._run_command = None if run_command is None else values.text("run_command", run_command).strip() or None
        self.container = container
        self.container_program = "singularity"
        self.in_batch = False
        self.mpmd: list[RunSettings] = []
        self.colocated_db_settings: dict[str, Any] | None = None
        self.exe_args = exe_args
        self.run_args = run_args
        self.env_vars = env_vars or {}
        # How `set` was told the names, which lose their dashes as keys of `run_args`.
        self._spelling: dict[str, str] = {}

    @property
    def exe_args(self) -> list[str]:
        """The arguments of the executable."""
        return self._exe_args

    @exe_args.setter
    def exe_args(self, exe_args: str | list[str] | None) -> None:
        self._exe_args = values.words(exe_args)

    @property
    def run_args(self) -> dict[str, values.Option]:
        """The options of the run command."""
        return self._run_args

    @run_args.setter
    def run_args(self, run_args: Mapping[str, values.Option] | None) -> None:
        self._run_args = self._accepted(values.options("run_args", run_args))

    @property
    def env_vars(self) -> dict[str, str | None]:
        """The variables laid over the environment of the driver; None stands for one without a value."""
        return self._env_vars

    @env_vars.setter
    def env_vars(self, env_vars: Mapping[str, str | float | None]) -> None:
        self._env_vars = values.environment(env_vars)

    @property
    def run_command(self) -> str | None:
        """The program that starts the executable; None when it is started directly."""
        return self._run_command

    @property
    def allocation(self) -> str | None:
        """The allocation that was named to run in; None for that of the driver."""
        return None

    def add_exe_args(self, args: str | list[str]) -> None:
        """Add arguments of the executable.

        Args:
            args: a list is added word by word as it is, a string is split at blanks.

        Raises:
            TypeError: it is something else.
        """
        self._exe_args += values.words(args)

    def update_env(self, env_vars: Mapping[str, str | float]) -> None:
        """Add environment variables, or give new values to old ones.

        Args:
            env_vars: name to a string, number or bool.

        Raises:
            TypeError: a value is something else.

        Example:
            >>> settings = RunSettings("solver")
            >>> settings.update_env({"OMP_NUM_THREADS": 4})
            >>> settings.env_vars
            {'OMP_NUM_THREADS': '4'}
        """
        checked = values.environment(env_vars)
        for name, value in checked.items():
            if value is None:
                raise TypeError(f"env_vars[{name!r}] was of type NoneType, not str, int, float or bool: None")
        self._env_vars.update(checked)

    def set(self, arg: str, value: str | None = None, condition: bool = True) -> None:
        """Set an option of the run command that has no setter of its own.

        Args:
            arg: the option's name; blanks and leading dashes do not matter.
            value: its value; None for an option without one.
            condition: whether to set it at all.

        Raises:
            TypeError: `arg` is no string, or `value` neither a string nor None.

        Example:
            >>> settings = RunSettings("solver", run_command="my-launcher")
            >>> settings.set("--partition", "debug", condition=True)
            >>> settings.run_args
            {'partition': 'debug'}
        """
        spelled = values.text("the name of a run argument", arg).strip()
        if value is not None:
            values.text(f"the value of the run argument {spelled!r}", value)
        name = spelled if spelled in self._run_args else spelled.lstrip("-")
        if not name:
            raise ValueError(f"{arg!r} is no name of a run argument: it has nothing but dashes and blanks")
        if not condition:
            self._inform(f"Could not set argument '{name}': condition not met")
        elif name in self.reserved_run_args:
            self._warn(f"Could not set argument '{name}': it is reserved, {type(self).__name__} sets it itself")
        else:
            if name in self._run_args and self._run_args[name] != value:
                self._warn(f"Overwriting argument '{name}' with value '{value}' (it was '{self._run_args[name]}')")
            self._run_args[name] = value
            self._spelling[name] = spelled

    def format_run_args(self) -> list[str]:
        """Return the options of the run command as words of its command line.

        Nothing is known about the run command here, so every name stands as it was given and is followed by its value
        as text. A launcher's own settings write dashes, and options without a value, as it takes them.
        """
        words = []
        for name, value in self._run_args.items():
            words += [self._spelling.get(name, name), str(value)]
        return words

    def format_env_vars(self) -> list[str]:
        """Return the environment variables, each as ``NAME=value``."""
        return [f"{name}={'' if value is None else value}" for name, value in self._env_vars.items()]

    def command_line(self, place: StepPlace, wrapper: tuple[str, ...] = ()) -> CommandLine:
        """Return the command line of a step; see `command.command_line`."""
        launch = (self._run_command, *self.format_run_args()) if self._run_command else ()
        return CommandLine(launch, self._application(place, wrapper))

    def variables(self) -> dict[str, str]:
        """Return the variables that are laid over the environment of the driver, for the run command to inherit."""
        return {name: "" if value is None else value for name, value in self._env_vars.items()}

    def resources(self) -> ResourceRequest | None:
        """Return what the options ask of an allocation; None when they do not say, or nobody here understands them."""
        return None

    def _accepted(self, run_args: dict[str, values.Option]) -> dict[str, values.Option]:
        """Return those options that are taken, under the names they are kept under."""
        return run_args

    def _application(self, place: StepPlace, wrapper: tuple[str, ...]) -> tuple[str, ...]:
        """Return the application's own command line: what wraps it, the container, the executable, its arguments."""
        directory = place.working_directory
        container = self.container.words(directory, self.container_program) if self.container else []
        return (*wrapper, *container, *self.exe, *self._exe_args)

    def __str__(self) -> str:
        lines = [f"Executable: {self.exe[0]}", f"Executable Arguments: {' '.join(self._exe_args)}"]
        if self._run_command:
            lines.append(f"Run Command: {self._run_command}")
        if self._run_args:
            lines.append(f"Run Arguments:\n{values.listed(self._run_args)}")
        if self.colocated_db_settings:
            lines.append("Co-located Database: True")
        return "\n".join(lines)
