"""Ending what experiments left running."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from smartsim.adapters.wlm.exits import exit_descriptor
from smartsim.adapters.wlm.own import OwnProcess, own_processes
from smartsim.adapters.wlm.proc import identity
from smartsim.app.leftovers import DELETED
from smartsim.app.secret_files import read_administrator
from smartsim.domain.addresses import Address
from smartsim.domain.errors import SmartSimError, TelemetryError

if TYPE_CHECKING:
    from smartsim.app.leftovers import Leftover, Server
    from smartsim.app.reaped_jobs import ReapedJobs
    from smartsim.ports.database_server import Credentials, DatabaseServer
    from smartsim.ports.file_system import FileReader

_ANSWER_TIMEOUT: Final = 5.0  # seconds that a server has to answer
_SAVE_TIMEOUT: Final = 60.0  # seconds that one which answers may take to save its data before it ends
_GRACE: Final = 10.0  # seconds between asking processes to end and killing them
_DEATH: Final = 10.0  # seconds that killed ones may take to be gone
_ALWAYS: Final = "3600 1"  # a server that is to save at all saves when it ends, too


def choose(leftovers: Sequence[Leftover], names: Sequence[str]) -> list[Leftover]:
    """Return what is meant by names and paths.

    Args:
        leftovers: all there are.
        names: names; or paths: of what is left, or of experiments, for everything that they left.

    Raises:
        SmartSimError: one is nobody's, or a name means several.
    """
    chosen: list[Leftover] = []
    for name in names:
        path = os.path.realpath(name)
        found = [leftover for leftover in leftovers if path in _paths(leftover)]
        if not found:
            found = [leftover for leftover in leftovers if leftover.name == name]
            if len({leftover.path for leftover in found}) > 1:
                places = ", ".join(leftover.path for leftover in found)
                raise SmartSimError(f"{name} is the name of several: give the path of one ({places})")
        if not found:
            raise SmartSimError(f"{name}: nothing of this name or path runs; `smart ps` lists what does")
        chosen += [leftover for leftover in found if leftover not in chosen]
    return chosen


def _paths(leftover: Leftover) -> set[str]:
    return {os.path.realpath(path) for path in (leftover.path, leftover.experiment) if path is not None}


def reap(leftover: Leftover, server: DatabaseServer, files: FileReader, jobs: ReapedJobs, *, save: bool) -> str | None:
    """End something that runs, and see that it has ended.

    A server is asked to shut down, and saves if it keeps checkpoints. What does not end then is ended as processes are.
    Where a driver still runs, it records the end.

    Args:
        leftover: the one.
        server: talks to servers.
        files: where databases have theirs.
        jobs: records the ends of jobs whose driver has gone.
        save: whether servers save in any case. One that cannot be asked to is left alone.

    Returns:
        Why it did not end, or why nobody will know that it did; None if all went well.
    """
    members = [process for process in own_processes() if process.pid in leftover.processes]
    if leftover.servers:
        try:
            _shut_down(leftover, server, files, save=save)
            _wait_ended(members, _GRACE)
        except SmartSimError as error:
            if save:
                return f"its data cannot be saved, so it was left alone: {error}"
    sessions = {process.session for process in members if process.session in leftover.processes}
    # Either alone may be another's: an identity is the moment of the start.
    known = {(process.pid, process.identity) for process in members}

    def left() -> list[OwnProcess]:
        return [
            process
            for process in own_processes()
            if (process.pid, process.identity) in known or process.session in sessions
        ]

    _end(left, signal.SIGTERM, _GRACE)
    _end(left, signal.SIGKILL, _DEATH)
    alive = ", ".join(str(process.pid) for process in left())
    if alive:
        return f"did not end, although killed: {alive}"
    if leftover.experiment is not None and leftover.driver is None:
        outputs = {path.removesuffix(DELETED) for process in members for path in process.outputs}
        try:
            jobs.ended(leftover.experiment, outputs)
        except TelemetryError as error:
            return f"has ended, but nobody will know: {error}"
    return None


def _shut_down(leftover: Leftover, server: DatabaseServer, files: FileReader, *, save: bool) -> None:
    """Ask the servers of a database to end, the last first: a replica is not to take over from a shard that was asked.

    Raises:
        SmartSimError: one cannot be asked.
    """
    credentials = read_administrator(files, leftover.path)
    addresses = [_answering(shard, server, credentials) for shard in leftover.servers]
    if save:
        for address in addresses:
            server.configure(address, credentials, {"save": _ALWAYS})
    for address in reversed(addresses):
        server.shut_down(address, credentials, _SAVE_TIMEOUT)


def _answering(shard: Server, server: DatabaseServer, credentials: Credentials) -> Address:
    if shard.address is None:
        raise SmartSimError(f"{shard.name} does not listen yet")
    path = shard.address.removeprefix("unix://")
    host, _, port = shard.address.rpartition(":")
    address = Address.unix(path) if path != shard.address else Address.tcp(host, int(port))
    facts = server.probe(address, credentials, _ANSWER_TIMEOUT)
    if facts is None or (facts.run_id != shard.run_id if shard.run_id else facts.process_id != shard.pid):
        raise SmartSimError(f"{shard.name} does not answer at {address}")
    return address


def _end(left: Callable[[], list[OwnProcess]], number: signal.Signals, grace: float) -> None:
    processes = left()
    for process in processes:
        if identity(process.pid) == process.identity:
            with suppress(ProcessLookupError):
                os.kill(process.pid, number)
                os.kill(process.pid, signal.SIGCONT)  # a suspended process does not see the other signal before
    _wait_ended(processes, grace)


def _wait_ended(processes: Collection[OwnProcess], timeout: float) -> None:
    """Wait until processes have ended, or it has taken too long."""
    deadline = time.monotonic() + timeout
    for process in processes:
        try:
            descriptor = exit_descriptor(process.pid)
        except ProcessLookupError:
            continue
        try:
            if identity(process.pid) == process.identity:
                ended = select.poll()  # `select` takes no descriptors from 1024 on
                ended.register(descriptor, select.POLLIN)
                ended.poll(max(0.0, deadline - time.monotonic()) * 1e3)
        finally:
            os.close(descriptor)
