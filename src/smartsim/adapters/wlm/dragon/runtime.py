"""Starting a runtime of Dragon, and finding one that runs."""

from __future__ import annotations

import json
import os
import posixpath
import secrets
import select
import shutil
import socket
import sysconfig
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from smartsim.adapters.wlm.dragon import keeper, server
from smartsim.adapters.wlm.dragon.wire import Address, Connection, ask, establish
from smartsim.adapters.wlm.exits import exit_descriptor
from smartsim.domain.errors import LauncherError
from smartsim.domain.lifecycle import Ended, JobEvent, Refused, describe_returncode
from smartsim.domain.steps import Step

if TYPE_CHECKING:
    from smartsim.ports.file_system import FileSystem
    from smartsim.ports.workload_manager import WorkloadManager

_LOOPBACK = "127.0.0.1"
_DISCARD = 9  # the port of a service that need not be there: nothing is sent
_ANSWER = 10.0  # seconds that a server has to prove that it knows the token, and to answer
_GRACE = 5.0  # seconds that a runtime has to end by itself when its server is gone
_TAIL = 2000  # bytes of a runtime's output in an error
_LOCK = "lock"  # in the directory of runtimes
_POINTER = "server.json"  # in the directory of runtimes: where the latest one listens
_OWN, _OWN_FILE = 0o700, 0o600
_OUTPUT, _ERRORS = "dragon_head.out", "dragon_head.err"


@dataclass(frozen=True)
class Place:
    """Where a runtime is.

    Args:
        address: at which its server listens.
        token_file: has what a driver must know.
        host: the name of the machine on which its keeper runs.
        keeper: what `LocalWorkloadManager.attach` needs there.
    """

    address: Address
    token_file: str
    host: str
    keeper: Mapping[str, object]

    @property
    def directory(self) -> str:
        """The directory of the runtime."""
        return posixpath.dirname(self.token_file)

    def words(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {**asdict(self), "address": list(self.address)}

    @classmethod
    def of(cls, words: object) -> Place | None:
        """Return what `words` returned, or has become in JSON; None for anything else."""
        match words:
            case {
                "address": [str(host), int(port)],
                "token_file": str(token_file),
                "host": str(machine),
                "keeper": dict(keeper_handle),
            }:
                return cls((host, port), token_file, machine, keeper_handle)
        return None


@dataclass(frozen=True)
class Runtime:
    """A runtime.

    Args:
        place: where it is.
        connection: to its server.
        is_own: whether it was started for who has it.
    """

    place: Place
    connection: Connection
    is_own: bool


def join(place: Place, files: FileSystem) -> Connection:
    """Return a connection to a runtime that runs.

    Raises:
        OSError: it does not.
    """
    token = files.read(place.token_file)
    endpoint = socket.create_connection(place.address, timeout=_ANSWER)
    connection = establish(endpoint, token, _ANSWER)
    try:
        ask(connection, {"driver": True}, _ANSWER)
    except BaseException:
        connection.close()
        raise
    return connection


class Runtimes:
    """Starts runtimes, and finds the one that another driver of the same directory has started.

    Args:
        children: runs them.
        files: has their files.
        directory: for these; absolute, and seen by all nodes.
        host: the name of this machine.
        nodes: the names of those of the allocation that the driver runs in, if there are several; else a runtime is on
            this machine alone.
        transport: what carries messages between nodes: ``tcp`` or ``hsta``.
        timeout: the seconds that a runtime has to start.
    """

    def __init__(
        self,
        children: WorkloadManager,
        files: FileSystem,
        directory: str,
        host: str,
        nodes: Sequence[str],
        transport: str,
        timeout: float,
    ) -> None:
        self._children = children
        self._files = files
        self._directory = directory
        self._host = host
        self._nodes = nodes if len(nodes) > 1 else ()
        self._transport = transport
        self._timeout = timeout

    def obtain(self, name: str, ended: Callable[[Ended], None]) -> Runtime:
        """Return a runtime: that of another driver of the directory if there is one, else one that is started.

        Args:
            name: of the step of `children` that it is to be.
            ended: is told when it ends, if it was started.

        Raises:
            LauncherError: it does not start.
        """
        program = _dragon()
        try:
            self._files.make_directory(self._directory)
            with self._files.locked(posixpath.join(self._directory, _LOCK), self._timeout):
                return self._find() or self._start(program, name, ended)
        except OSError as error:
            raise LauncherError(
                f"Cannot use {self._directory}, where a Dragon runtime has its files: {error}. Correct its "
                "permissions, or name another directory in SMARTSIM_DRAGON_SERVER_PATH"
            ) from error

    def _find(self) -> Runtime | None:
        try:
            place = Place.of(json.loads(self._files.read(posixpath.join(self._directory, _POINTER))))
            return None if place is None else Runtime(place, join(place, self._files), is_own=False)
        except (OSError, ValueError):
            return None

    def _start(self, program: str, name: str, ended: Callable[[Ended], None]) -> Runtime:
        directory = posixpath.join(self._directory, name)
        token_file, token = posixpath.join(directory, server.TOKEN), secrets.token_hex().encode()
        self._files.make_directory(directory, _OWN)
        self._files.write(token_file, token, _OWN_FILE)
        options = ("-t", self._transport) if self._nodes else ("-s",)
        with socket.create_server((self._own_address(), 0)) as listener:
            host, port = listener.getsockname()[:2]
            runtime = (program, *options, *server.command(directory, (host, port)))
            step = Step(
                name=name,
                argv=tuple(keeper.command(token_file, runtime)),
                launch=(),
                # Dragon runs programs of its own by their names.
                environment={"PATH": f"{posixpath.dirname(program)}:{os.environ.get('PATH', os.defpath)}"},
                working_directory=directory,
                stdout=posixpath.join(directory, _OUTPUT),
                stderr=posixpath.join(directory, _ERRORS),
            )
            found = self._run(step, listener, token, ended)
        self._files.write(
            posixpath.join(self._directory, _POINTER), json.dumps(found.place.words()).encode(), _OWN_FILE
        )
        return found

    def tail(self, directory: str) -> str:
        """Return the last lines that a runtime wrote, and where there are more."""
        texts = []
        for file in (_OUTPUT, _ERRORS):
            try:
                texts.append(self._files.read(posixpath.join(directory, file), _TAIL).decode(errors="replace").strip())
            except OSError:
                continue
        return "\n".join([*filter(None, texts), f"See {directory} for all that it wrote"])

    def _run(self, step: Step, listener: socket.socket, token: bytes, ended: Callable[[Ended], None]) -> Runtime:
        over = threading.Event()
        outcome: list[Ended | Refused] = []

        def told(_: str, event: JobEvent) -> None:
            if isinstance(event, Ended | Refused):
                outcome.append(event)
                over.set()
            if isinstance(event, Ended):
                ended(event)

        self._children.submit([step], told)
        try:
            keeper_handle = self._children.handle(step.name)
            connection = self._await_call(listener, int(str(keeper_handle["pid"])), token)
            hello = {"driver": True, "environment": list(os.environ)}
            host, port = ask(connection, hello, _ANSWER)["address"]
        except BaseException as error:
            is_late = not over.wait(_GRACE if isinstance(error, OSError) else 0.0)
            self._children.stop([step.name], keeper.ENDING)
            over.wait(keeper.ENDING + _GRACE)
            if not isinstance(error, LauncherError | OSError):
                raise
            how = f"within {self._timeout:g} s" if is_late else ""
            for event in outcome:
                if isinstance(event, Refused):
                    raise event.error from error
                how = how or describe_returncode(event.returncode)
            raise LauncherError(
                f"The Dragon runtime did not start ({how}): {self.tail(step.working_directory)}"
            ) from error
        place = Place((host, port), posixpath.join(step.working_directory, server.TOKEN), self._host, keeper_handle)
        return Runtime(place, connection, is_own=True)

    def _await_call(self, listener: socket.socket, keeper_pid: int, token: bytes) -> Connection:
        """Return the connection that the server makes.

        Raises:
            OSError: the runtime ends instead, or the time is up.
        """
        end = exit_descriptor(keeper_pid)
        deadline = time.monotonic() + self._timeout
        ready = select.poll()
        ready.register(end, select.POLLIN)
        ready.register(listener, select.POLLIN)
        try:
            while events := dict(ready.poll(max(0.0, 1000 * (deadline - time.monotonic())))):
                if end in events:
                    raise ConnectionAbortedError("the runtime has ended")
                with suppress(OSError):  # anybody may call
                    return establish(listener.accept()[0], token, _ANSWER)
        finally:
            os.close(end)
        raise TimeoutError("the server does not call")

    def _own_address(self) -> str:
        """Return the address of this machine at which the nodes of the runtime find it."""
        other = next((node for node in self._nodes if node.partition(".")[0] != self._host.partition(".")[0]), None)
        if other is None:
            return _LOOPBACK
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect((other, _DISCARD))
            except OSError as error:
                raise LauncherError(
                    f"The node {other} of this allocation cannot be reached from {self._host}: {error}. A Dragon "
                    "runtime on several nodes needs a network among them"
                ) from error
            return str(probe.getsockname()[0])


def _dragon() -> str:
    """Return the path of the program that starts a runtime.

    Raises:
        LauncherError: Dragon is not installed.
    """
    scripts = sysconfig.get_path("scripts")
    program = shutil.which("dragon", path=f"{scripts}:{os.environ.get('PATH', os.defpath)}")
    try:
        version("dragonhpc")
    except PackageNotFoundError:
        program = None
    if program is None:
        raise LauncherError(
            "The launcher dragon needs the package dragonhpc, and this Python has none: "
            "pip install 'smartsim-next[dragon]'"
        )
    return program
