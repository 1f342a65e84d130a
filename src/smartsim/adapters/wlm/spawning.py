"""Starting a step as a child process, and saying in words why that failed."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

from smartsim.domain.cpu_sets import format_cpus
from smartsim.domain.errors import ShellError
from smartsim.domain.steps import Step

# Appended to: a rank launcher that is told the files opens them, too.
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC


def spawn(step: Step, environment: Mapping[str, str], stdin: int, *, appends: bool = False) -> int:
    """Start a step in a session of its own, and return its process id; the caller is the one to wait for it.

    Args:
        step: what to start.
        environment: the driver's; the step's own variables are laid over it.
        stdin: a descriptor for its standard input.
        appends: whether what its output files have stays there.

    Raises:
        OSError, ValueError: it cannot be started.
    """
    flags = _APPEND if appends else _APPEND | os.O_TRUNC
    stdout = os.open(step.stdout, flags, 0o666)
    try:
        stderr = os.open(step.stderr, flags, 0o666)
        try:
            with _bound(step.cpus):
                child = subprocess.Popen(
                    step.command,
                    cwd=step.working_directory,
                    env={**environment, **step.environment},
                    stdin=stdin,
                    stdout=stdout,
                    stderr=stderr,
                    start_new_session=True,
                )
        finally:
            os.close(stderr)
    finally:
        os.close(stdout)
    # The step may outlive this process, and this object's owner waits on the pid: nothing is left for `Popen` to do.
    child.returncode = 0
    return child.pid


@contextmanager
def _bound(cpus: Collection[int]) -> Iterator[None]:
    """Bind this thread, and so what it starts, to some CPUs; to none leaves it as it is."""
    if not cpus:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def refusal(step: Step, environment: Mapping[str, str], error: Exception) -> ShellError:
    """Return the error to raise for a step that could not be started: which command, why, and what to do."""
    return ShellError(f"Job step {step.name} failed to launch", step.command, _reason(step, environment, error))


def _reason(step: Step, environment: Mapping[str, str], error: Exception) -> str:
    program, directory = step.command[0], step.working_directory
    path = step.environment.get("PATH", environment.get("PATH"))
    if not isinstance(error, OSError):
        return f"{error}: an argument, a variable or a path holds a character that no program can be given"
    if not os.path.isdir(directory):
        return f"its working directory {directory} does not exist: generate the entity, or correct its path"
    if error.filename in (step.stdout, step.stderr):
        return f"its output file {error.filename} cannot be written ({error.strerror}): check the permissions"
    if error.errno == errno.ENOENT:
        found = shutil.which(program, path=path) or (program if os.path.exists(program) else None)
        if found is not None:
            return f"{found} is there, but the interpreter that its first line names is not: correct the line after #!"
        return f"there is no program {program}: install it, load its module, or give its full path"
    if error.errno == errno.EACCES:
        return f"{program} may not be executed ({error.strerror}): make it executable with chmod +x"
    if error.errno == errno.ENOEXEC:
        return f"{program} is no program for this machine, nor a script whose first line names its interpreter (#!...)"
    if error.errno == errno.EINVAL and step.cpus:
        own = format_cpus(os.sched_getaffinity(0))
        return f"it cannot be bound to the CPUs {format_cpus(step.cpus)} of this machine: this process has {own}"
    if error.errno == errno.E2BIG:
        return "its arguments and environment are too long for this system: pass long values in a file"
    return f"{error.strerror or error}"
