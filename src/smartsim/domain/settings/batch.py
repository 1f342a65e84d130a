"""The batch job that an entity runs in."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, ClassVar

from smartsim.domain.errors import LauncherUnsupportedFeature, SSReservedKeywordError
from smartsim.domain.settings import values
from smartsim.domain.settings.base import SettingsBase

_OF_EVERY_BATCH_JOB = ("nodes", "queue", "walltime", "account")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_QUOTED = re.compile(r"""(["'])(?P<inside>(?:(?!\1).)+)\1""")


class BatchSettings(SettingsBase):
    """A batch job: how it is submitted, with which options, and what its script does first.

    Settings for one workload manager are a subclass: `options` says what it calls the generic settings, and
    `format_batch_args` writes them down.

    Args:
        batch_cmd: the program that submits.
        batch_args: its options, as they stand in the script; None for one without a value.
        **kwargs: ``nodes``, ``queue``, ``time`` (walltime) and ``account``, handed to the setters unless empty.

    Raises:
        TypeError: an argument has another type.
        NotImplementedError: a generic setting is given that this class has no option for.

    Attributes:
        array: whether each member of a batch ensemble is an element of a job array; see `set_array`.
        shebang: the first line of the script.
    """

    scheduler: ClassVar[str] = ""
    """What the jobs are submitted to: ``slurm``, ``pbs``, ``lsf``, ``sge``, ``cobalt`` or ``flux``."""
    has_arrays: ClassVar[bool] = True
    """Whether it has job arrays."""
    options: ClassVar[Mapping[str, str]] = {}
    """The option for each generic setting; the keys are the setters' names without ``set_``."""
    reserved_batch_args: ClassVar[Collection[str]] = ()
    """Options that cannot be given: those of job arrays, and those that make the submission wait or submit nothing."""

    def __init__(self, batch_cmd: str, batch_args: Mapping[str, values.Option] | None = None, **kwargs: Any) -> None:
        self.set_batch_command(batch_cmd)
        self.batch_args = batch_args
        self.array = False
        self.shebang = "#!/bin/bash"
        self._preamble: list[str] = []
        kwargs["walltime"] = kwargs.pop("time", None)
        for setting in _OF_EVERY_BATCH_JOB:
            value = kwargs.pop(setting, None)
            if value is not None and value != "":
                getattr(self, f"set_{setting}")(value)
        if kwargs:
            self._warn(f"{type(self).__name__} does not know the arguments {', '.join(kwargs)}: they have no effect")

    @property
    def batch_cmd(self) -> str:
        """The program that submits."""
        return self._batch_cmd

    @property
    def batch_args(self) -> dict[str, values.Option]:
        """The options of the batch job."""
        return self._batch_args

    @batch_args.setter
    def batch_args(self, batch_args: Mapping[str, values.Option] | None) -> None:
        self._batch_args = values.options("batch_args", batch_args)

    @property
    def preamble(self) -> tuple[str, ...]:
        """The lines that the script begins with."""
        return tuple(self._preamble)

    def set_batch_command(self, command: str) -> None:
        """Set the program that submits.

        Raises:
            TypeError: it is no string.
        """
        self._batch_cmd = values.text("batch_cmd", command)

    def set_array(self, enabled: bool = True) -> None:
        """Set whether each member of a batch ensemble is an element of a job array.

        Every element then has the options of this job for itself: two nodes are two nodes for each member. Without an
        array all members share one job.

        Raises:
            LauncherUnsupportedFeature: the scheduler has no job arrays.

        Example:
            >>> settings = BatchSettings("sbatch")
            >>> settings.set_array()
            >>> settings.array
            True
        """
        if enabled and not self.has_arrays:
            raise LauncherUnsupportedFeature(
                f"{type(self).__name__} cannot make a job array: {self.scheduler} has none. Leave set_array out: the "
                "members then share one job"
            )
        self.array = enabled

    def add_preamble(self, lines: str | list[str]) -> None:
        """Add lines that the script runs before anything else, such as ``module load``.

        Raises:
            TypeError: it is neither a string nor a list of strings.

        Example:
            >>> settings = BatchSettings("sbatch")
            >>> settings.add_preamble(["module load cray-python", "export OMP_NUM_THREADS=4"])
            >>> settings.preamble
            ('module load cray-python', 'export OMP_NUM_THREADS=4')
        """
        self._preamble += [lines] if isinstance(lines, str) else values.texts("a preamble", lines)

    def set_nodes(self, num_nodes: int) -> None:
        """Set the number of nodes, at least 1."""
        self._set_option("nodes", str(values.positive("num_nodes", num_nodes)))

    def set_hostlist(self, host_list: str | list[str]) -> None:
        """Set the hosts to run on."""
        self._set_option("hostlist", ",".join(values.texts("host_list", host_list)))

    def set_queue(self, queue: str) -> None:
        """Set the queue, or partition, to submit to; an empty one is ignored."""
        if values.text("queue", queue):
            self._set_option("queue", queue)

    def set_walltime(self, walltime: str) -> None:
        """Set how long the job may run; an empty text is ignored.

        Args:
            walltime: ``HH:MM:SS``, ``D-HH:MM:SS``, or in another form that the workload manager takes.

        Raises:
            TypeError: it is no string.
            ValueError: it is no walltime.
        """
        if values.text("walltime", walltime):
            self._set_option("walltime", self._walltime(walltime.strip()))

    def set_account(self, account: str) -> None:
        """Set the account to charge; an empty one is ignored."""
        if values.text("account", account):
            self._set_option("account", account)

    def format_batch_args(self) -> list[str]:
        """Return the options, each as it stands in the script.

        Raises:
            NotImplementedError: this class is for no workload manager.
            SSReservedKeywordError: an option is among `reserved_batch_args`.
            ValueError: an option cannot be written into a script.
        """
        raise NotImplementedError(f"{type(self).__name__} is for no workload manager: use create_batch_settings")

    def directives(self) -> tuple[str, ...]:
        """Return every option of the job: what stands behind ``#SBATCH`` and its like, one a line.

        Raises:
            SSReservedKeywordError, ValueError: see `format_batch_args`.
        """
        return tuple(self.format_batch_args())

    def _walltime(self, walltime: str) -> str:
        """Return a walltime in the scheduler's form."""
        return walltime

    def _arguments(self) -> Iterator[tuple[str, str | None]]:
        """Yield the options of `batch_args`, checked: the name without dashes, and the value or None.

        A value that comes in quotes, as scripts had to give one with blanks, is what stands between them.
        """
        for given, value in self._batch_args.items():
            name = given.strip().lstrip("-")
            if name in self.reserved_batch_args:
                raise SSReservedKeywordError(
                    f"batch_args[{given!r}] cannot be given: it changes what submitting means. Job arrays are made by "
                    "set_array(), and Experiment.start(block=True) waits"
                )
            yield checked_name(name), None if value is None or value == "" else unquoted(one_line(given, value))

    def _set_option(self, setting: str, value: values.Option) -> None:
        option = self.options.get(setting)
        if option is None:
            raise NotImplementedError(f"{type(self).__name__} has no option for {setting}: put it into batch_args")
        self._batch_args[option] = value

    def __str__(self) -> str:
        text = f"Batch Command: {self._batch_cmd}"
        return f"{text}\nBatch arguments:\n{values.listed(self._batch_args)}" if self._batch_args else text


def checked_name(name: str) -> str:
    """Return the name of an option or a resource.

    Raises:
        ValueError: it has characters that no name has.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of an option of a batch job: it is made of letters, digits, '-', '_'")
    return name


def one_line(name: str, value: values.Option) -> str:
    """Return a value as text.

    Raises:
        ValueError: it does not fit on one line, as everything that schedulers read in a script must.
    """
    text = str(value)
    if any(character in text for character in "\n\r\0"):
        raise ValueError(f"{name}={text!r} cannot be an option of a batch job: it is more than one line")
    return text


def unquoted(text: str) -> str:
    """Return what stands between quotes, if a text is in quotes as a whole; otherwise the text.

    Example:
        >>> unquoted('"h1 h2"'), unquoted("it's")
        ('h1 h2', "it's")
    """
    match = _QUOTED.fullmatch(text)
    return match["inside"] if match else text
