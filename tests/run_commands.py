"""Command lines of settings, for tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from smartsim.domain.settings.base import SettingsBase
from smartsim.domain.settings.command import CommandLine, StepPlace, command_line
from smartsim.domain.settings.run import RunSettings

PLACE = StepPlace("m-1", "m", "/exp/m", "/run/m.out", "/run/m.err")

SETTERS: Mapping[str, Callable[[RunSettings], None]] = {
    "nodes": lambda settings: settings.set_nodes(2),
    "tasks": lambda settings: settings.set_tasks(4),
    "tasks_per_node": lambda settings: settings.set_tasks_per_node(2),
    "task_map": lambda settings: settings.set_task_map("ppr:2:node"),
    "cpus_per_task": lambda settings: settings.set_cpus_per_task(3),
    "hostlist": lambda settings: settings.set_hostlist(["n1", "n2"]),
    "hostlist_from_file": lambda settings: settings.set_hostlist_from_file("hosts.txt"),
    "excluded_hosts": lambda settings: settings.set_excluded_hosts("n3 "),
    "cpu_bindings": lambda settings: settings.set_cpu_bindings([0, 2]),
    "memory_per_node": lambda settings: settings.set_memory_per_node(100),
    "verbose_launch": lambda settings: settings.set_verbose_launch(verbose=True),
    "quiet_launch": lambda settings: settings.set_quiet_launch(quiet=True),
    "broadcast": lambda settings: settings.set_broadcast(),
    "node_feature": lambda settings: settings.set_node_feature(["gpu", "ssd"]),
    "binding": lambda settings: settings.set_binding("packed:2"),
    "walltime": lambda settings: settings.set_walltime("26:00:05"),
    "time": lambda settings: settings.set_time(hours=26, seconds=5),
}
"""Every generic setter, by its name without ``set_``."""


class Told(SettingsBase):
    """Settings that remember what they told their user, also while they were made."""

    @property
    def told(self) -> list[str]:
        """The warnings, in their order."""
        told: list[str] = self.__dict__.setdefault("_told", [])
        return told

    def _warn(self, message: str) -> None:
        self.told.append(message)


def check_setter(settings: RunSettings, setter: str, words: Sequence[str] | None) -> None:
    """Assert what a generic setter does.

    Args:
        settings: fresh ones, which are also `Told`.
        setter: the key of `SETTERS`.
        words: the options that it leads to; None when the launcher cannot honour it.
    """
    assert isinstance(settings, Told)
    SETTERS[setter](settings)
    assert settings.format_run_args() == list(words or [])
    if words is None:
        (warning,) = settings.told
        assert warning.endswith(f" specification not implemented for this RunSettings type: {type(settings).__name__}")
    else:
        assert settings.told == []


def line(settings: RunSettings, wrapper: tuple[str, ...] = (), place: StepPlace = PLACE) -> CommandLine:
    """Return the command line of a step somewhere."""
    return command_line(settings, place, wrapper)


def text(settings: RunSettings, wrapper: tuple[str, ...] = ()) -> str:
    """Return all words of a command line, with blanks between them, as documents write it."""
    command = line(settings, wrapper)
    return " ".join(command.launch + command.argv)
