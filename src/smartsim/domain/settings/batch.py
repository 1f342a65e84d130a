"""The batch job that an entity runs in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from smartsim.domain.settings import values
from smartsim.domain.settings.base import SettingsBase

_OF_EVERY_BATCH_JOB = ("nodes", "queue", "walltime", "account")


class BatchSettings(SettingsBase):
    """A batch job: how it is submitted, with which options, and what its script does first.

    Settings for one workload manager are a subclass: `options` says what it calls the generic settings, and
    `format_batch_args` writes them down.

    Args:
        batch_cmd: the program that submits.
        batch_args: its options, as they stand in the script.
        **kwargs: ``nodes``, ``queue``, ``time`` (walltime) and ``account``, handed to the setters unless empty.

    Raises:
        TypeError: an argument has another type.
        NotImplementedError: a generic setting is given that this class has no option for.
    """

    options: ClassVar[Mapping[str, str]] = {}
    """The option for each generic setting; the keys are the setters' names without ``set_``."""

    def __init__(self, batch_cmd: str, batch_args: Mapping[str, values.Option] | None = None, **kwargs: Any) -> None:
        self.set_batch_command(batch_cmd)
        self.batch_args = batch_args
        self._preamble: list[str] = []
        kwargs["walltime"] = kwargs.pop("time", None)
        for setting in _OF_EVERY_BATCH_JOB:
            value = kwargs.pop(setting, None)
            if value:
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
        self._set_option("nodes", values.positive("num_nodes", num_nodes))

    def set_hostlist(self, host_list: str | list[str]) -> None:
        """Set the hosts to run on."""
        self._set_option("hostlist", ",".join(values.texts("host_list", host_list)))

    def set_queue(self, queue: str) -> None:
        """Set the queue, or partition, to submit to."""
        self._set_option("queue", values.text("queue", queue))

    def set_walltime(self, walltime: str) -> None:
        """Set how long the job may run, in the form that the workload manager takes."""
        self._set_option("walltime", values.text("walltime", walltime))

    def set_account(self, account: str) -> None:
        """Set the account to charge."""
        self._set_option("account", values.text("account", account))

    def format_batch_args(self) -> list[str]:
        """Return the options as they stand in the script.

        Raises:
            NotImplementedError: this class is for no workload manager.
        """
        raise NotImplementedError(f"{type(self).__name__} is for no workload manager: use create_batch_settings")

    def _set_option(self, setting: str, value: values.Option) -> None:
        option = self.options.get(setting)
        if option is None:
            raise NotImplementedError(f"{type(self).__name__} has no option for {setting}: put it into batch_args")
        self._batch_args[option] = value

    def __str__(self) -> str:
        text = f"Batch Command: {self._batch_cmd}"
        return f"{text}\nBatch arguments:\n{values.listed(self._batch_args)}" if self._batch_args else text
