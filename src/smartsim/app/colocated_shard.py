"""The shard of a colocated database: its server, with the workers beside it, as processes of this node."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import select
import shutil
import signal
import socket
import stat
import time
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from smartsim.adapters.network.system import SystemNetwork
from smartsim.adapters.wlm.exits import exit_descriptor
from smartsim.adapters.work.connection import Connection, encode
from smartsim.app.shard import become_server, make_private_directory
from smartsim.domain.addresses import Address
from smartsim.domain.cpu_sets import database_cpus
from smartsim.domain.database import choose_interfaces
from smartsim.domain.errors import SmartSimError
from smartsim.ports.database_server import Credentials
from smartsim.ports.work_source import WorkSourceLostError

if TYPE_CHECKING:
    from collections.abc import Collection

    from smartsim.domain.colocation import ColocatedDatabase

_LOOPBACK: Final = "127.0.0.1"
_LONGEST_START: Final = 60.0  # seconds from the start of the server to its answer
_PROBE_INTERVAL: Final = 0.002  # seconds between two questions to a server that is starting
_LONGEST_SAVE: Final = 60.0  # seconds that a server may take to end when asked to
_LONGEST_END: Final = 5  # seconds that workers may take to end after their server
_ALL_CPUS: Final = range(8192)
_DEATH_SIGNAL: Final = 1  # PR_SET_PDEATHSIG of prctl(2)
_LOG_TAIL: Final = 2000  # bytes


class ShardFailedError(Exception):
    """There is no database; the text goes on after its name."""


class Shard:
    """The shard of one node. It belongs to this process, and is killed with it.

    Args:
        database: what it is to be.
        job_cpus: of the job on this node, as far as known.
        log: the file that standard output leads to.

    Attributes:
        cpus: to which it is pinned; none for no pinning.
        address: where clients on this node find it, once it has started.
        descriptor: tells of the end of its server.
    """

    def __init__(self, database: ColocatedDatabase, job_cpus: Collection[int], log: str) -> None:
        self._database = database
        self._job_cpus = job_cpus
        self._log = log
        self._directory: str | None = None  # of the socket, if it has one of its own
        self._claim: socket.socket | None = None  # to a path that somebody else may want
        self._connection: Connection | None = None
        self._process: int | None = None
        self.cpus: tuple[int, ...] = ()
        self.address: Address
        self.descriptor: int

    def start(self) -> None:
        """Start it, and wait until it is ready for clients.

        Raises:
            ShardFailedError: it cannot be started.
        """
        try:
            self._choose_cpus()
            arguments = self._choose_socket() if self._database.is_unix else self._choose_port()
            self._fork([*arguments, *self._database.arguments])
            self._await_ready()
            self._store_objects()
        except (SmartSimError, ValueError, OSError, SystemExit) as error:
            raise ShardFailedError(f"cannot be started: {error}") from error

    def failure(self) -> str | None:
        """Return how the server ended, None if it runs."""
        if self._process is None:
            return None
        end = os.waitid(os.P_PID, self._process, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        if end is None:
            return None
        exited = end.si_code == os.CLD_EXITED
        how = f"with exit code {end.si_status}" if exited else f"by {signal.Signals(end.si_status).name}"
        return f"ended {how} while its application ran (see {self._log})"

    def stop(self) -> None:
        """End it, if it has not ended, and everything that it started."""
        if self._process is not None:
            if self._connection is not None:
                with suppress(WorkSourceLostError):
                    self._connection.send(encode("SHUTDOWN"))
                select.select([self.descriptor], [], [], _LONGEST_SAVE)
            os.kill(self._process, signal.SIGKILL)  # it is a child: its number is not another's before it is waited for
            self._await_children(self._process)
            self._process = None
        if self._database.unix_socket and self._claim is not None:
            with suppress(OSError):
                os.unlink(self._database.unix_socket)
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)

    def _await_children(self, session: int) -> None:
        """Wait for the server, and for the workers and their supervisor, which become children of this process."""
        signal.signal(signal.SIGALRM, lambda _number, _frame: os.killpg(session, signal.SIGKILL))
        signal.alarm(_LONGEST_END)
        with suppress(ChildProcessError):
            while True:
                os.wait()
        signal.alarm(0)

    def _choose_cpus(self) -> None:
        # Whatever is asked for, the kernel gives no more than the control group has.
        os.sched_setaffinity(0, _ALL_CPUS)
        available = os.sched_getaffinity(0) & set(self._job_cpus)
        os.sched_setaffinity(0, available)
        self.cpus = database_cpus(available, self._database.cpus, self._database.pinning)
        os.sched_setaffinity(0, self.cpus or available)

    def _choose_socket(self) -> list[str]:
        path = self._database.unix_socket
        if path is None:
            self._directory = make_private_directory()
            path = os.path.join(self._directory, "db")
        else:
            self._claim = _claim(path)
        self.address = Address.unix(path)
        permissions = str(self._database.socket_permissions)
        return ["--port", "0", "--unixsocket", path, "--unixsocketperm", permissions]

    def _choose_port(self) -> list[str]:
        network = SystemNetwork()
        available = network.interfaces()
        chosen = choose_interfaces(self._database.interfaces, available, local=False)
        addresses = list(dict.fromkeys([_LOOPBACK, *(available[name] for name in chosen)]))
        port = self._database.port or network.free_port(_LOOPBACK)
        for address in addresses:
            if not network.port_is_free(address, port):
                raise OSError(f"port {port} of {address} is in use: choose another one, or port=0 for any that is free")
        self.address = Address.tcp(_LOOPBACK, port)
        return ["--port", str(port), "--bind", " ".join(addresses)]

    def _fork(self, arguments: list[str]) -> None:
        with open(self._database.settings, encoding="utf-8") as stream:
            settings = json.load(stream)
        settings["server"] += arguments
        parent = os.getpid()
        process = os.fork()
        if process:
            self._process, self.descriptor = process, exit_descriptor(process)
            return
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            close_all_but()
            ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
            if os.getppid() == parent:
                become_server(settings, self.address.path or None, self._directory)
        except BaseException:  # noqa: BLE001 - nothing of the supervisor's own is to be run in its fork
            traceback.print_exc()
        finally:
            os._exit(1)

    def _password(self) -> str:
        with open(self._database.password_file, encoding="utf-8") as stream:
            return stream.read().strip()

    def _await_ready(self) -> None:
        password = self._password()
        deadline = time.monotonic() + _LONGEST_START
        while not self._is_ready(password):
            if select.select([self.descriptor], [], [], _PROBE_INTERVAL)[0]:
                raise OSError(f"its server ended\n{self._last_words()}")
            if time.monotonic() > deadline:
                raise OSError(f"its server did not answer within {_LONGEST_START:g} s\n{self._last_words()}")

    def _store_objects(self) -> None:
        """Put the models and scripts there that it holds from the beginning."""
        if not self._database.objects:
            return
        from smartsim.adapters.filesystem.posix import PosixFileSystem
        from smartsim.app.ml_uploads import connect, put, read

        uploads = read(self._database.objects, PosixFileSystem())
        with connect([self.address], Credentials(self._database.user, self._password())) as store:
            for upload in uploads:
                put(store, upload, "its colocated database")

    def _is_ready(self, password: str) -> bool:
        try:
            if self._connection is None:
                self._connection = Connection(self.address, self._database.user, password)
            self._connection.send(encode("INFO", "ai_workers"))
            return b"ai_supervisor" in self._connection.read_string()
        except WorkSourceLostError:
            if self._connection is not None:
                self._connection.close()
            self._connection = None
            return False

    def _last_words(self) -> str:
        with open(self._log, "rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _LOG_TAIL))
            return log.read().decode(errors="replace")


def close_all_but(*kept: int) -> None:
    """Close every descriptor but those of the standard streams, and some others."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in kept:  # noqa: PLR2004 - the standard streams
            with suppress(OSError):
                os.close(int(name))


def _claim(path: str) -> socket.socket:
    """Return what keeps other colocated databases from a path, as long as it is open.

    Raises:
        OSError: a server listens there, or something else is there.
    """
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            claim.bind(b"\0smartsim-" + hashlib.sha256(path.encode()).digest())
            if not stat.S_ISSOCK(os.lstat(path).st_mode):
                raise OSError(f"{path} is no socket: give the path of one that is not there yet")
            probe.connect(path)
    except FileNotFoundError:
        if not os.path.isdir(os.path.dirname(path)):
            claim.close()
            raise OSError(f"there is no directory {os.path.dirname(path)} for its socket: make it") from None
    except ConnectionRefusedError:
        os.unlink(path)  # it was left behind by a server that is no more
    except OSError as error:
        claim.close()
        if error.strerror is None:
            raise
        raise OSError(f"the unix socket {path} cannot be used: {error.strerror}") from error
    else:
        claim.close()
        raise OSError(
            f"the unix socket {path} is in use by another server: give each database its own, or none, for one in a "
            "private directory"
        )
    return claim
