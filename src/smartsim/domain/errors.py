"""Every exception of the package.

::

    Exception
     └ SmartSimError
        ├ EntityExistsError (also a FileExistsError)
        ├ SSReservedKeywordError
        ├ SSDBIDConflictError
        ├ SSDBFilesNotParseable
        ├ SmartSimCLIActionCancelled
        ├ UserStrategyError
        ├ ParameterWriterError
        ├ EntityNotFoundError (also a LookupError)
        ├ SSUnsupportedError
        │   └ PreviewFormatError
        └ SSInternalError
            ├ SSConfigError
            ├ IllegalTransitionError
            ├ LauncherError
            │   ├ LauncherUnsupportedFeature
            │   ├ AllocationError
            │   └ ShellError
            └ TelemetryError
                └ UnproxyableStepError

The exceptions of the application client stand in `smartsim.domain.client_errors`, for scripts that know nothing of
experiments; they are under the same root::

    SmartSimError
     ├ RedisConnectionError (also a RuntimeError)
     └ RedisReplyError (also a RuntimeError)
        ├ RedisRuntimeError
        ├ RedisBadAllocError
        ├ RedisDatabaseError
        ├ RedisInternalError
        ├ RedisTimeoutError
        └ RedisKeyError
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from typing import Any


class SmartSimError(Exception):
    """The root: catch it to catch everything that this package raises on purpose."""

    def __reduce__(self) -> tuple[Callable[..., SmartSimError], tuple[Any, ...]]:
        # Workers of `multiprocessing` hand errors over by their parts. Python would call the class with the finished
        # message, which several of the classes below take for something else.
        return _restored, (type(self), self.args, self.__dict__)


def _restored(kind: type[SmartSimError], arguments: tuple[Any, ...], attributes: dict[str, Any]) -> SmartSimError:
    error = kind.__new__(kind, *arguments)
    error.__dict__.update(attributes)
    return error


class EntityExistsError(SmartSimError, FileExistsError):
    """An entity of that name, or the directory it would be written to, is already there."""


class SSReservedKeywordError(SmartSimError):
    """An option was given that the package sets itself."""


class SSDBIDConflictError(SmartSimError):
    """Two databases of one experiment have the same identifier."""


class SSDBFilesNotParseable(SmartSimError):  # noqa: N818 - the name that existing scripts catch
    """The files of a database do not tell where it runs."""


class SmartSimCLIActionCancelled(SmartSimError):  # noqa: N818 - the name that existing scripts catch
    """The person at the terminal cancelled a command."""


class UserStrategyError(SmartSimError):
    """A user's own permutation strategy returned something that is not a list of parameter dictionaries."""

    def __init__(self, perm_strat: Callable[..., Any] | str) -> None:
        super().__init__(
            f"User provided ensemble generation strategy {perm_strat!r} failed to generate valid parameter names and "
            "values: it must return a list with one dictionary of parameter name to value per member"
        )


class ParameterWriterError(SmartSimError):
    """A file to configure cannot be read, or its configured copy cannot be written.

    Args:
        file_path: the file.
        read: whether reading failed (else writing).
        reason: what went wrong, in words.
    """

    def __init__(self, file_path: str, read: bool = True, reason: str = "") -> None:
        message = (
            f"Failed to read configuration file to write at {file_path}"
            if read
            else f"Failed to write configuration file to {file_path}"
        )
        super().__init__(f"{message}: {reason}" if reason else message)


class EntityNotFoundError(SmartSimError, LookupError):
    """The record of an experiment has no such entity, or no such start of it."""


class SSUnsupportedError(SmartSimError):
    """What was asked for is not supported."""


class PreviewFormatError(SSUnsupportedError):
    """A preview was asked for in a format that does not exist."""


class SSInternalError(SmartSimError):
    """Something went wrong below the public interface."""


class SSConfigError(SSInternalError):
    """A setting, or the installation, is not usable as it is."""


class IllegalTransitionError(SSInternalError):
    """A job was told something that cannot happen in the state it is in."""


class LauncherError(SSInternalError):
    """A launcher could not do what it was asked to."""


class LauncherUnsupportedFeature(LauncherError):  # noqa: N818 - the name that existing scripts catch
    """The launcher has no such feature."""


class AllocationError(LauncherError):
    """There is no allocation to run in, or none could be had."""


class ShellError(LauncherError):
    """A command failed, or could not be started.

    Args:
        message: what failed.
        command_list: the command, as an argv list or as text.
        details: why, and what to do about it.
    """

    def __init__(self, message: str, command_list: str | Sequence[str], details: str | None = None) -> None:
        command = command_list if isinstance(command_list, str) else shlex.join(command_list)
        text = f"{message}\n\nCommand: {command}"
        super().__init__(f"{text}\nError from shell: {details}" if details else text)


class TelemetryError(SSInternalError):
    """The record of an experiment cannot be kept."""


class UnproxyableStepError(TelemetryError):
    """Kept for scripts that import it: steps are no longer run through a proxy."""
