"""Logging: one shared logger, and the two log files of each experiment.

The standard library does the work. Nothing is set up when this is imported: the logger "SmartSim" gets its handler when
it is first asked for, and no other logger is touched. Its records propagate as usual, so that a program's own handlers
see them too.
"""

from __future__ import annotations

import functools
import logging
import os
import sys
import threading
import weakref
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TextIO, TypeVar

_P = ParamSpec("_P")
_Self = TypeVar("_Self")
_Result = TypeVar("_Result")
_Value = TypeVar("_Value")

DEFAULT_DATE_FORMAT = "%H:%M:%S"
DEFAULT_LOG_FORMAT = "%(asctime)s %(hostname)s %(name)s[%(process)d:%(threadName)s] %(levelname)s %(message)s"
EXPERIMENT_LOG_FORMAT = DEFAULT_LOG_FORMAT.replace("%(message)s", "{%(exp_path)s} %(message)s")

_SHARED = "SmartSim"
_DEVELOPER = "developer"
_setting_up = threading.Lock()

ctx_exp_path: ContextVar[str] = ContextVar("exp_path", default="")
"""The path of the experiment that is at work in this context; empty outside of its methods."""

ContextAwareLogger = logging.Logger
"""Any logger: the handlers look at the context by themselves. Kept for scripts that name the class."""


def get_logger(name: str, log_level: str | int | None = None, fmt: str | None = None) -> logging.Logger:
    """Return the logger of the package, which writes to whatever `sys.stdout` is when a record is made.

    Args:
        name: whose records they are. They all share the logger "SmartSim"; with ``SMARTSIM_LOG_LEVEL=developer`` each
            name has its own below it.
        log_level: least level that is shown: a name of the standard library's, ``quiet`` (warnings) or ``developer``
            (everything). None leaves it as it is, at first what the variable ``SMARTSIM_LOG_LEVEL`` says, or else
            ``info``. A name that means nothing is taken as ``info``.
        fmt: format of the records; None leaves it as it is, at first `DEFAULT_LOG_FORMAT`.

    Example:
        >>> get_logger("my driver").warning("the mesh is coarse")  # doctest: +SKIP
        10:41:07 login1 SmartSim[4242:MainThread] WARNING the mesh is coarse
    """
    stdout = _stdout_handler()
    if log_level is not None:
        _show_from(stdout, log_level)
    if fmt is not None:
        stdout.setFormatter(logging.Formatter(fmt, DEFAULT_DATE_FORMAT))
    shared = logging.getLogger(_SHARED)
    return shared.getChild(name) if _level_setting().lower() == _DEVELOPER else shared


def log_to_file(filename: str, log_level: str | int = "debug") -> logging.Handler:
    """Write the package's records to a file too, from now on; what it held is lost.

    Args:
        filename: the file.
        log_level: least level that is written.

    Returns:
        The handler. It is closed when the interpreter exits, or earlier by who removes it.
    """
    _stdout_handler()
    handler = _described(logging.FileHandler(filename, mode="w", encoding="utf-8"), DEFAULT_LOG_FORMAT)
    logging.getLogger(_SHARED).addHandler(handler)
    _show_from(handler, log_level)
    return handler


def log_to_exp_file(
    filename: str | os.PathLike[str],
    logger: logging.Logger,
    log_level: str | int = "warn",
    fmt: str = EXPERIMENT_LOG_FORMAT,
    log_filter: logging.Filter | None = None,
) -> logging.Handler:
    """Append a logger's records to a file; its directory is made.

    Args:
        filename: the file.
        logger: whose records.
        log_level: least level that is written.
        fmt: format of the records.
        log_filter: decides further which records are written.

    Returns:
        The handler. It is closed when the interpreter exits, or earlier by who removes it.
    """
    path = Path(filename)
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = _described(logging.FileHandler(path, mode="a", encoding="utf-8"), fmt)
    handler.setLevel(_level(log_level))
    if log_filter is not None:
        handler.addFilter(log_filter)
    logger.addHandler(handler)
    return handler


def get_exp_log_paths() -> tuple[Path, Path] | tuple[None, None]:
    """Return the output and error log files of the experiment that is at work, or two Nones outside of one."""
    exp_path = ctx_exp_path.get()
    return _log_paths(exp_path) if exp_path else (None, None)


class ExperimentLogs:
    """The two log files of an experiment: ``smartsim.out``, and ``smartsim.err`` for warnings and what is worse.

    They hold the records that are made while `ctx_exp_path` is the experiment's path. They are opened once, appended
    to, and closed with `close`, when this object is gone, or when the interpreter exits.

    Args:
        exp_path: the experiment's directory.
    """

    def __init__(self, exp_path: str) -> None:
        self._exp_path = exp_path
        self._detach: weakref.finalize[[logging.Logger, logging.Handler], ExperimentLogs] | None = None

    def attach(self) -> None:
        """Open the files, making their directory, and write to them from now on; does nothing when that is so already.

        Raises:
            OSError: when they cannot be opened.
        """
        if self._detach is not None:
            return
        _stdout_handler()
        handler = _described(_ExperimentHandler(self._exp_path), EXPERIMENT_LOG_FORMAT)
        shared = logging.getLogger(_SHARED)
        shared.addHandler(handler)
        self._detach = weakref.finalize(self, _remove, shared, handler)

    def close(self) -> None:
        """Close the files; they can be attached again."""
        if self._detach is not None:
            self._detach()
            self._detach = None


def method_contextualizer(
    ctx_var: ContextVar[_Value], ctx_map: Callable[[Any], _Value]
) -> Callable[[Callable[Concatenate[_Self, _P], _Result]], Callable[Concatenate[_Self, _P], _Result]]:
    """Return a decorator for methods that sets a context variable while they run.

    Args:
        ctx_var: the variable.
        ctx_map: given the object, returns the value.
    """

    def decorate(method: Callable[Concatenate[_Self, _P], _Result]) -> Callable[Concatenate[_Self, _P], _Result]:
        @functools.wraps(method)
        def run(self: _Self, /, *args: _P.args, **kwargs: _P.kwargs) -> _Result:
            token = ctx_var.set(ctx_map(self))
            try:
                return method(self, *args, **kwargs)
            finally:
                ctx_var.reset(token)

        return run

    return decorate


class ContextThread(threading.Thread):
    """A thread, made as any `threading.Thread`, that runs in a copy of the context in which it was made."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._context_of_maker = copy_context()

    def run(self) -> None:
        """Run the target in the copied context."""
        self._context_of_maker.run(super().run)


class ContextInjectingLogFilter(logging.Filter):
    """Lets every record pass, and gives it `exp_path`: the path of the experiment that is at work, or nothing."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Describe the record."""
        record.exp_path = ctx_exp_path.get()
        return True


class HostnameFilter(logging.Filter):
    """Lets every record pass, and gives it `hostname`: the name of this machine.

    Args:
        name: as for `logging.Filter`.
    """

    def __init__(self, name: str = "") -> None:
        super().__init__(name)
        self._hostname = os.uname().nodename

    def filter(self, record: logging.LogRecord) -> bool:
        """Describe the record."""
        record.hostname = self._hostname
        return True


class LowPassFilter(logging.Filter):
    """Lets records up to a level pass.

    Args:
        maximum_level: the highest level that passes.
    """

    def __init__(self, maximum_level: str | int = "INFO") -> None:
        super().__init__()
        self._maximum = _level(maximum_level)

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record passes."""
        return record.levelno <= self._maximum


class _StdoutHandler(logging.Handler):
    """Writes to what `sys.stdout` is at that moment, so that redirecting and capturing it works."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stdout.write(f"{self.format(record)}\n")
            sys.stdout.flush()
        except Exception:  # noqa: BLE001 - as every handler of the standard library: reported, never raised
            self.handleError(record)


class _ExperimentHandler(logging.Handler):
    """Writes the records of one experiment to its two files."""

    def __init__(self, exp_path: str) -> None:
        super().__init__()
        self._exp_path = exp_path
        out, err = _log_paths(exp_path)
        out.parent.mkdir(parents=True, exist_ok=True)
        self._out = _open(out)
        try:
            self._err = _open(err)
        except OSError:
            self._out.close()
            raise

    def filter(self, record: logging.LogRecord) -> Any:
        # Two experiments of one path have a handler each: whichever comes first writes the record.
        if ctx_exp_path.get() != self._exp_path or record.__dict__.get("written_to") == self._exp_path:
            return False
        return super().filter(record)

    def emit(self, record: logging.LogRecord) -> None:
        record.written_to = self._exp_path
        file = self._err if record.levelno >= logging.WARNING else self._out
        if file.closed:  # by another thread, after this one had found the handler
            return
        try:
            file.write(f"{self.format(record)}\n")
        except Exception:  # noqa: BLE001 - as every handler of the standard library: reported, never raised
            self.handleError(record)

    def close(self) -> None:
        self.acquire()
        try:
            self._out.close()
            self._err.close()
        finally:
            self.release()
        super().close()


def _open(path: Path) -> TextIO:
    # Line by line: who follows the file sees each record at once, and a killed driver loses none.
    return path.open("a", encoding="utf-8", errors="backslashreplace", buffering=1)


def _log_paths(exp_path: str) -> tuple[Path, Path]:
    directory = Path(exp_path, ".smartsim", "telemetry", "logs")
    return directory / "smartsim.out", directory / "smartsim.err"


def _level(level: str | int) -> int:
    if isinstance(level, int):
        return level
    levels = {**logging.getLevelNamesMapping(), "QUIET": logging.WARNING, _DEVELOPER.upper(): logging.DEBUG}
    return levels.get(level.upper(), logging.INFO)


def _described(handler: logging.Handler, fmt: str) -> logging.Handler:
    handler.addFilter(ContextInjectingLogFilter())
    handler.addFilter(HostnameFilter())
    handler.setFormatter(logging.Formatter(fmt, DEFAULT_DATE_FORMAT))
    return handler


def _level_setting() -> str:
    return os.environ.get("SMARTSIM_LOG_LEVEL", "info")


def _stdout_handler() -> logging.Handler:
    """Return the handler of the shared logger that shows records, after adding it where it is missing."""
    shared = logging.getLogger(_SHARED)
    with _setting_up:
        for handler in shared.handlers:
            if isinstance(handler, _StdoutHandler):
                return handler
        stdout = _described(_StdoutHandler(), DEFAULT_LOG_FORMAT)
        shared.addHandler(stdout)
        _show_from(stdout, _level_setting())
        return stdout


def _show_from(handler: logging.Handler, level: str | int) -> None:
    """Let a handler of the shared logger show what is at least of that level, and the logger what any of them shows."""
    handler.setLevel(_level(level))
    shared = logging.getLogger(_SHARED)
    shared.setLevel(min((other.level for other in shared.handlers if other.level), default=logging.INFO))


def _remove(logger: logging.Logger, handler: logging.Handler) -> None:
    logger.removeHandler(handler)
    handler.close()
