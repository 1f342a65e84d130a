"""A rank with a database on its node: ``python -m smartsim.app.colocated DATABASE.json -- PROGRAM ARGUMENTS ...``.

It stands before the application in the command of every rank. It sees to it that the node has a database, waits until
that is ready, and becomes the application by `exec`: process id, signals, exit code and open files of the rank are the
application's own.

The first rank of a node starts the supervisor of the database (`smartsim.app.colocated_supervisor`), the others find
it. Who is the first is decided by the kernel: one process alone can have a name for its socket. The name is one of
Linux's abstract ones, which are no files: when the process that has it ends, however it does, the name is free.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import sys
import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from types import FrameType

# Whatever is imported here delays the start of every rank.
_LONGEST_START: Final = 300  # seconds until the database must be ready; storing models on it included
_SUPERVISORS: Final = 3  # that may be lost before a rank gives up
_ALMOST: Final = 0.001  # seconds that a process which has the name has to listen
_QUEUE: Final = 4096  # ranks that may connect at the same moment
_PEER: Final = struct.Struct("3i")  # struct ucred: process, user, group
_IGNORED_BY_PYTHON: Final = (signal.SIGPIPE, signal.SIGXFSZ)
_NOT_EXECUTABLE, _NOT_FOUND = 126, 127  # the exit codes of a shell


def main() -> None:
    """Wait for the database of this node, starting it if this is the first rank, and become the application."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGALRM, _give_up)
    signal.alarm(_LONGEST_START)
    path, _, *command = sys.argv[1:]
    with open(path, encoding="utf-8") as stream:
        database = json.load(stream)
    answer = join(database)
    signal.alarm(0)
    if "error" in answer:
        sys.exit(f"{database['model']} has no database on {socket.gethostname()}: {answer['error']}")
    if answer["cpus"]:
        from smartsim.domain.cpu_sets import application_cpus

        os.sched_setaffinity(0, application_cpus(os.sched_getaffinity(0), answer["cpus"]))
    if answer["first"]:
        _tell(database["model"], answer["address"], answer["cpus"])
    os.environ[database["variable"]] = answer["address"]
    become(command)


def join(database: dict[str, Any]) -> dict[str, Any]:
    """Have this process counted as a rank; return what the supervisor says of the database.

    Args:
        database: what the file says.

    Returns:
        ``address``, ``cpus`` (none for no pinning) and whether this rank is the ``first`` to be told; or ``error``.
    """
    name = f"\0smartsim-{database['token']}"
    lost = 0
    while lost < _SUPERVISORS:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            try:
                connection.connect(name)
            except ConnectionRefusedError:
                _start_supervisor(name, database)
                continue
            if peer(connection)[1] != os.getuid():
                return {"error": "another user answers in the place of its supervisor"}
            answer = _read(connection)
            if answer:
                found: dict[str, Any] = json.loads(answer)
                return found
        lost += 1  # it was just ending, or was killed
    return {"error": f"its supervisor ended {lost} times before it was ready (see {database['directory']})"}


def peer(connection: socket.socket) -> tuple[int, int]:
    """Return the process at the other end of a connection, and its user."""
    process, user, _ = _PEER.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    return process, user


def become(command: list[str]) -> None:
    """Become the application."""
    for number in _IGNORED_BY_PYTHON:
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)  # noqa: S606 - its words go to no shell
    except OSError as error:
        print(f"{command[0]} cannot be started: {error.strerror}", file=sys.stderr)  # noqa: T201
        sys.exit(_NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_EXECUTABLE)


def _start_supervisor(name: str, database: dict[str, Any]) -> None:
    """Start the supervisor, unless somebody else is about to."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        try:
            listener.bind(name)
        except OSError:
            time.sleep(_ALMOST)
            return
        listener.listen(_QUEUE)
        own, launcher = os.sched_getaffinity(0), os.getppid()
        # Twice, so that the application has no child that it knows nothing of.
        child = os.fork()
        if child == 0:
            if os.fork() == 0:
                _supervise(listener, database, own | _affinity(launcher))
            os._exit(0)
    os.waitpid(child, 0)


def _supervise(listener: socket.socket, database: dict[str, Any], cpus: set[int]) -> None:
    try:
        from smartsim.app.colocated_supervisor import supervise

        supervise(listener, database, cpus)
    except BaseException:  # noqa: BLE001 - nothing of the rank's own is to be run in its fork
        import traceback

        traceback.print_exc()
    finally:
        os._exit(0)


def _tell(model: str, address: str, cpus: list[int]) -> None:
    """Print once per node where everything runs."""
    from smartsim.domain.cpu_sets import format_cpus

    pinned = f"on CPUs {format_cpus(cpus)}" if cpus else "not pinned"
    rest = format_cpus(os.sched_getaffinity(0))
    words = f"{model}: database at {address} on {socket.gethostname()}, {pinned}; application on CPUs {rest}"
    print(words, file=sys.stderr, flush=True)  # noqa: T201


def _affinity(process: int) -> set[int]:
    try:
        return os.sched_getaffinity(process)
    except OSError:
        return set()


def _read(connection: socket.socket) -> bytes:
    received = b""
    try:
        while piece := connection.recv(1 << 16):
            received += piece
    except ConnectionResetError:
        return b""
    return received


def _give_up(_number: int, _frame: FrameType | None) -> None:
    sys.exit(f"The database of this node was not ready within {_LONGEST_START} s")


if __name__ == "__main__":
    main()
