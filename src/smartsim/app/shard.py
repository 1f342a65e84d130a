"""A shard with its workers: the process of a shard's step, ``python -m smartsim.app.shard FILE.json``.

The process becomes the server, so that the step's signals are the server's, and the step ends as the server does.
Before that it forks the supervisor of the shard's workers (`smartsim.app.supervisor`): a small process that talks to
the server over a unix socket in a private directory, and ends after it. What becomes of the supervisor and the workers
never touches the data.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

# Whatever is imported here delays the start of the server.
_LONGEST_SOCKET_PATH = 107  # bytes: sockaddr_un has room for as many and a NUL
_SOCKET = "s"
_CPUS_OF_IO_THREAD = 4
_MOST_IO_THREADS = 8
_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main() -> None:
    """Become the server that a file describes."""
    with open(sys.argv[1], encoding="utf-8") as stream:
        become_server(json.load(stream))


def become_server(settings: dict[str, Any], socket: str | None = None, directory: str | None = None) -> None:
    """Become the server, with a supervisor beside it.

    Args:
        settings: of the shard, as its file has them.
        socket: the path of the unix socket that the server has for clients; without one it has one for the workers.
        directory: that of the socket for clients, if it is to be removed after the end of the server.
    """
    program, *arguments = settings.pop("server")
    if (choice := settings.pop("choice", None)) is not None:
        from smartsim.app.shard_place import choose_place

        arguments += choose_place(**choice)
    if (threads := settings.pop("io_threads", None)) is not None:
        # Behind the file of the configuration, and before what somebody asks for: the last one counts.
        arguments[1:1] = ["--io-threads", str(threads or choose_io_threads(len(os.sched_getaffinity(0))))]
    os.umask(0o077)  # what is saved and logged is for the owner alone
    # Until there is somebody who removes the directory, signals wait.
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    path = socket
    if path is None:
        directory = make_private_directory()
        path = os.path.join(directory, _SOCKET)
        arguments += ["--unixsocket", path, "--unixsocketperm", "700"]
    server = os.getpid()
    if os.fork() == 0:
        from smartsim.app.supervisor import ShardSettings, supervise

        supervise(ShardSettings(**settings), server, path, directory, _ENDING, for_clients=socket is not None)
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
    try:
        os.execvp(program, [program, *arguments])  # noqa: S606
    except OSError as error:
        if socket is None and directory is not None:
            os.rmdir(directory)
        sys.exit(f"The database server {program} cannot be started: {error.strerror}")


def choose_io_threads(cpus: int) -> int:
    """Return how many threads of a server read and write, given how many CPUs it has: one in four, 8 at most.

    The others are for its main thread, for workers and applications. On two CPUs, with 16 clients on the same ones, two
    threads had 0.5 to 0.8 times the throughput of one with values of 64 KiB and 1 MiB, and less with small ones.
    """
    return max(1, min(cpus // _CPUS_OF_IO_THREAD, _MOST_IO_THREADS))


def make_private_directory() -> str:
    """Make a directory for a unix socket that only its owner can reach, with a path that is short enough."""
    for parent in (os.environ.get("TMPDIR", ""), "/tmp"):  # noqa: S108 - the name is drawn at random, and the mode is 0700
        path = os.path.join(parent, f"smartsim-{os.urandom(8).hex()}")
        if os.path.isabs(path) and len(os.fsencode(path)) + 1 + len(_SOCKET) <= _LONGEST_SOCKET_PATH:
            try:
                os.mkdir(path, 0o700)
            except OSError:
                continue
            return path
    sys.exit("There is no directory for a unix socket: set TMPDIR to one that can be written and has a short path")


if __name__ == "__main__":
    main()
