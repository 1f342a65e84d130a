"""The log lines of application scripts: ``<name>@HH-MM-SS:<text>``, to standard output or the file of `SR_LOG_FILE`."""

from __future__ import annotations

import os
import sys
import time
from enum import IntEnum
from pathlib import Path

from smartsim.domain.client_errors import RedisRuntimeError, check_type


class SRLoggingLevel(IntEnum):
    """How much detail a log line is; `SR_LOG_LEVEL` says up to which level lines are written."""

    LLQuiet = 1
    LLInfo = 2
    LLDebug = 3
    LLDeveloper = 4


LLQuiet = SRLoggingLevel.LLQuiet
LLInfo = SRLoggingLevel.LLInfo
LLDebug = SRLoggingLevel.LLDebug
LLDeveloper = SRLoggingLevel.LLDeveloper

_THRESHOLDS = {"QUIET": LLQuiet, "INFO": LLInfo, "DEBUG": LLDebug, "DEVELOPER": LLDeveloper}


def log_data(context: str, level: SRLoggingLevel, data: str) -> None:
    """Write a log line.

    Args:
        context: who speaks; begins the line.
        level: how much of a detail it is. Lines above `SR_LOG_LEVEL` (QUIET, INFO, DEBUG or DEVELOPER; INFO when it is
            not set) are left out.
        data: what to say.

    Raises:
        TypeError: an argument is of another type.
        ValueError: `SR_LOG_LEVEL` is none of these.
        RedisRuntimeError: `SR_LOG_FILE` cannot be written.

    Example:
        >>> log_data("solver", LLDebug, "residual 1e-9")  # nothing, unless SR_LOG_LEVEL=DEBUG
    """
    _write(context, level, data, kind="")


def log_warning(context: str, level: SRLoggingLevel, data: str) -> None:
    """Write a log line that begins with ``WARNING:``; otherwise as `log_data`."""
    _write(context, level, data, kind="WARNING: ")


def log_error(context: str, level: SRLoggingLevel, data: str) -> None:
    """Write a log line that begins with ``ERROR:``; otherwise as `log_data`."""
    _write(context, level, data, kind="ERROR: ")


class SRObject:
    """Something with a name that writes log lines.

    Args:
        context: the name.
    """

    def __init__(self, context: str) -> None:
        check_type(context, "context", str)
        self._context = context

    def log_data(self, level: SRLoggingLevel, data: str) -> None:
        """Write a log line under this object's name; see `smartsim.client.log_data`."""
        log_data(self._context, level, data)

    def log_warning(self, level: SRLoggingLevel, data: str) -> None:
        """Write a warning under this object's name."""
        log_warning(self._context, level, data)

    def log_error(self, level: SRLoggingLevel, data: str) -> None:
        """Write an error under this object's name."""
        log_error(self._context, level, data)


class LogContext(SRObject):
    """A name for log lines of code that has no client.

    Example:
        >>> LogContext("reader").log_warning(LLInfo, "no data yet")  # doctest: +SKIP
        reader@14-03-59:WARNING: no data yet
    """

    @staticmethod
    def from_pybind(logcontext: LogContext) -> LogContext:
        """Return the context itself: of old, scripts made one of a native object."""
        check_type(logcontext, "logcontext", LogContext)
        return logcontext

    def get_context(self) -> LogContext:
        """Return the context itself: of old, its native object."""
        return self

    def set_context(self, logcontext: LogContext) -> None:
        """Take the name of another context."""
        check_type(logcontext, "logcontext", LogContext)
        self._context = logcontext._context


def _write(context: str, level: SRLoggingLevel, data: str, kind: str) -> None:
    check_type(context, "context", str)
    check_type(level, "level", SRLoggingLevel)
    check_type(data, "data", str)
    if level.value > _threshold().value:
        return
    line = f"{context}@{time.strftime('%H-%M-%S')}:{kind}{data}\n"
    path = os.environ.get("SR_LOG_FILE")
    if not path:
        sys.stdout.write(line)
        sys.stdout.flush()
        return
    try:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(line)
    except OSError as error:
        raise RedisRuntimeError(f"The log file cannot be written: {error}; set SR_LOG_FILE to another path") from error


def _threshold() -> SRLoggingLevel:
    text = os.environ.get("SR_LOG_LEVEL") or "INFO"
    try:
        return _THRESHOLDS[text.upper()]
    except KeyError:
        raise ValueError(f"SR_LOG_LEVEL is {text!r}: use one of {', '.join(_THRESHOLDS)}") from None
