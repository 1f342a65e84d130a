"""What keeps the workers of a shard running: one process per device, started again when it ends.

It keeps the lease of the database, too, if there is one (`smartsim.app.database_lease`), and goes on with its samples
when the driver has gone (`smartsim.app.sampling_turns`).

It is to stay small, since it stands beside every shard: neither NumPy nor a framework is imported here.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from smartsim.adapters.clock.system import SystemClock
from smartsim.adapters.filesystem.posix import PosixFileSystem
from smartsim.adapters.wlm.exits import exit_descriptor
from smartsim.adapters.work.supervision import RespSupervision
from smartsim.app.database_lease import LeasedShard, keep_lease
from smartsim.app.devices import find_devices, worker_environment
from smartsim.app.runtimes import installed_versions
from smartsim.app.sampling_turns import Turn, Watch, keep_samples
from smartsim.domain.addresses import Address
from smartsim.ports.work_source import Kill, WorkRefusedError, WorkSourceLostError

if TYPE_CHECKING:
    import subprocess

_CONNECT_INTERVAL: Final = 0.002  # seconds between two attempts to reach a server that is starting
_FIRST_PAUSE: Final = 0.1  # seconds before the second restart in a row; the first comes at once: requests wait
_LONGEST_PAUSE: Final = 5.0  # seconds
_LONGEST_START: Final = 60.0  # seconds until a worker must have connected
_LONG_LIFE: Final = 1.0  # seconds after which a worker that ends is no reason to be careful
_FAILED_STARTS: Final = 5  # in a row; then clients are told
_NOT_YET: Final = ("LOADING", "ERR max number of clients")  # a shard that refuses so may not do so soon
_LOG_TAIL: Final = 4096  # bytes


@dataclass(frozen=True)
class ShardSettings:
    """What the file of a shard says, besides the command of its server.

    Attributes:
        name: of the shard.
        directory: where its files are; absolute.
        user: as whom workers log in.
        password_file: holds the user's password.
        devices: of the workers, such as ``CPU`` and ``GPU:0``; None for the CPU and every GPU that there is.
        threads: how many runs at once on each device.
        intra_op: threads of one operation; 0 as the framework likes.
        inter_op: operations at once; 0 as the framework likes.
        lease: seconds for which the server stays when driver and clients have gone; None for ever.
        observer: as whom the server is sampled when the driver has gone; empty for not at all.
        observer_password_file: holds that user's password.
    """

    name: str
    directory: str
    user: str
    password_file: str
    devices: list[str] | None
    threads: int
    intra_op: int
    inter_op: int
    lease: float | None = None
    observer: str = ""
    observer_password_file: str = ""


def supervise(
    settings: ShardSettings,
    server: int,
    path: str,
    directory: str | None,
    signals: Collection[signal.Signals],
    *,
    for_clients: bool = False,
) -> None:
    """Run workers for a shard until its server ends.

    Args:
        settings: of the shard.
        server: the process id of the server; the parent of this process.
        path: of its unix socket.
        directory: in which that is alone: removed after the end of the server, or before.
        signals: that mean that the server is about to end; blocked by the caller.
        for_clients: whether the socket is needed as long as the server runs.
    """
    # A signal to the whole group means that the server is about to end: workers are needed no more. It is received as
    # a byte, among the other things that are waited for.
    wake, woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(woken)
    for number in signals:
        signal.signal(number, lambda _number, _frame: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
    try:
        ended = exit_descriptor(server)
        if os.getppid() == server:
            _keep_all(settings, path, None if for_clients else directory, server, _Events(ended, wake))
    except ProcessLookupError:
        pass  # the server did not even start
    finally:
        _remove(directory)


class _Events:
    """What the main thread waits for.

    Args:
        ended: readable once the server has ended.
        wake: readable once a signal has come.
    """

    def __init__(self, ended: int, wake: int) -> None:
        self.ended = ended
        self._poll = select.poll()
        self._poll.register(ended, select.POLLIN)
        self._poll.register(wake, select.POLLIN)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait; return whether anything happened."""
        return bool(self._poll.poll(None if seconds is None else seconds * 1000))

    def wait_until(self, condition: Callable[[], bool]) -> bool:
        """Wait for what the server does while it starts; return False if anything happened before."""
        while not condition():
            if self.wait(_CONNECT_INTERVAL):
                return False
        return True

    def wait_ended(self) -> None:
        """Wait for the end of the server."""
        select.select([self.ended], [], [])


def _keep_all(settings: ShardSettings, path: str, directory: str | None, server: int, events: _Events) -> None:
    keepers: list[_Keeper] = []
    try:
        if not events.wait_until(lambda: os.path.exists(path)):
            return
        with open(settings.password_file, encoding="utf-8") as stream:
            password = stream.read().strip()
        # The socket is reached through a descriptor, so that its file can go at once: whatever kills all of this, and
        # however suddenly, leaves nothing behind.
        socket = os.open(path, os.O_PATH | os.O_CLOEXEC)
        keepers = _keepers(settings, socket, password)
        if all(events.wait_until(keeper.announce) for keeper in keepers):
            _remove(directory)
            for keeper in keepers:
                keeper.start()
            if settings.lease is not None:
                users = settings.user, settings.observer
                shard = LeasedShard(settings.name, _address(socket), users, password, server)
                arguments = settings.lease, settings.directory, shard, events.ended
                threading.Thread(target=keep_lease, args=arguments, name="lease").start()
            if settings.observer:
                _start_sampling(settings, socket, events.ended)
            events.wait()
    except (OSError, WorkSourceLostError) as error:
        print(f"The workers of {settings.name} cannot reach it: {error}", file=sys.stderr, flush=True)  # noqa: T201
        os.kill(server, signal.SIGTERM)
    finally:
        for keeper in keepers:
            keeper.stop()
        events.wait_ended()


def _start_sampling(settings: ShardSettings, socket: int, ended: int) -> None:
    def begin(turn: Turn) -> Callable[[], None]:
        from smartsim.app.shard_samples import ShardSamples
        from smartsim.ports.database_server import Credentials

        with open(settings.observer_password_file, encoding="utf-8") as stream:
            credentials = Credentials(settings.observer, stream.read().strip())
        return ShardSamples(settings.name, _address(socket), credentials, turn).take

    watch = Watch(PosixFileSystem(), SystemClock(), settings.directory)
    # A daemon: a file system that hangs keeps nothing from ending.
    thread = threading.Thread(
        target=keep_samples, args=(settings.name, watch, begin, ended), name="samples", daemon=True
    )
    with suppress(RuntimeError):  # there are no more threads to be had: there are no samples, then
        thread.start()


def _remove(directory: str | None) -> None:
    if directory is not None:
        shutil.rmtree(directory, ignore_errors=True)


def _address(socket: int) -> Address:
    return Address.unix(f"/proc/self/fd/{socket}")


def _keepers(settings: ShardSettings, socket: int, password: str) -> list[_Keeper]:
    versions = installed_versions()
    devices = find_devices(os.environ) if settings.devices is None else settings.devices
    return [_Keeper(settings, device, socket, password, versions) for device in devices]


class _Keeper:
    """Keeps the worker of one device running.

    Args:
        settings: of the shard.
        device: the worker's.
        socket: a descriptor of the unix socket of the shard.
        password: to log in there.
        versions: of the frameworks, by backend.
    """

    def __init__(
        self, settings: ShardSettings, device: str, socket: int, password: str, versions: Mapping[str, str]
    ) -> None:
        self._settings = settings
        self._device = device
        self._socket = socket
        self._address = _address(socket)
        self._password = password
        self._versions = versions
        self._log = os.path.join(settings.directory, f"{settings.name}_worker_{device.replace(':', '')}.log")
        self._log_begin = 0  # of what the present worker writes
        self._unavailable = ""  # why the worker does not start
        self._lock = threading.Lock()  # for what follows
        self._supervision: RespSupervision | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"keep-{device}")

    def announce(self) -> bool:
        """Tell the shard, on a new connection, that there are workers, or why not.

        Returns:
            False if the shard is not there, or not yet.

        Raises:
            WorkRefusedError: the shard refuses.
        """
        try:
            supervision = RespSupervision(self._address, self._settings.user, self._password)
            try:
                supervision.hello(self._device, self._versions)
                if self._unavailable:
                    supervision.unavailable(self._unavailable)
            except WorkSourceLostError:
                supervision.close()
                raise
        except WorkRefusedError as error:
            if str(error).startswith(_NOT_YET):
                return False
            raise
        except WorkSourceLostError:
            return False
        with self._lock:
            before, self._supervision = self._supervision, supervision
        threading.Thread(target=self._listen, args=[supervision], daemon=True).start()
        if before is not None:
            before.hang_up()
        return True

    def start(self) -> None:
        """Keep a worker running from now on."""
        self._thread.start()

    def stop(self) -> None:
        """End the worker: by force, for it holds nothing that it would have to put away."""
        with self._lock:
            self._stopped.set()
            if self._process is not None:
                self._process.kill()
            if self._supervision is not None:
                self._supervision.hang_up()
        if self._thread.ident is not None:
            self._thread.join()

    def _listen(self, supervision: RespSupervision) -> None:
        """End workers that the shard wants ended."""
        try:
            while True:
                item = supervision.next()
                with self._lock:
                    if isinstance(item, Kill) and self._process is not None and self._process.pid == item.process:
                        self._process.kill()
        except WorkSourceLostError:
            supervision.close()
        # Somebody closed the connection alone; or the server ends.
        while self._supervision is supervision and not self._stopped.is_set() and not self._announce_again():
            self._stopped.wait(_LONGEST_PAUSE)

    def _announce_again(self) -> bool:
        """Announce to a shard that has let this one in before; return False if it does not do so now."""
        try:
            return self.announce()
        except WorkSourceLostError:
            return False

    def _keep(self) -> None:
        failed_starts = short_lives = 0
        while not self._stopped.is_set():
            began = time.monotonic()
            try:
                started, end = self._run_worker()
            except OSError as error:
                started, end = False, f"cannot be started: {error}"
            if self._stopped.is_set():
                return
            failed_starts = 0 if started else failed_starts + 1
            if failed_starts >= _FAILED_STARTS:
                self._unavailable = f"the last one {end} (see {self._log})"
                self._announce_again()
            short_lives = 0 if time.monotonic() - began > _LONG_LIFE else short_lives + 1
            pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (short_lives - 2)) if short_lives > 1 else 0.0
            with suppress(OSError):  # its standard error is the shard's: a file on a disk that may be full
                print(  # noqa: T201
                    f"The worker of {self._settings.name} for {self._device} {end}: the next starts in {pause:g} s",
                    file=sys.stderr,
                    flush=True,
                )
            self._stopped.wait(pause)

    def _run_worker(self) -> tuple[bool, str]:
        """Start a process, and wait for its end.

        Returns:
            Whether it came as far as to work for the shard, and how it ended; if it did not, with its last words.

        Raises:
            OSError: it cannot be started.
        """
        ready, told = os.pipe2(os.O_CLOEXEC)
        with open(ready, "rb") as pipe:
            try:
                process = self._start_worker(told)
            finally:
                os.close(told)
            readable, _, _ = select.select([pipe], [], [], _LONGEST_START)
            started = bool(readable and pipe.read(1))
            if not readable:
                process.kill()
        if started and self._unavailable:
            self._unavailable = ""
            self._announce_again()
        code = process.wait()
        end = f"ended with exit code {code}" if code >= 0 else f"ended by {_signal_name(-code)}"
        if not readable:
            end = f"did not connect within {_LONGEST_START:g} s"
        return started, end if started else end + self._last_words()

    def _start_worker(self, told: int) -> subprocess.Popen[bytes]:
        """Start a process that writes a byte into a pipe once it works for the shard."""
        import subprocess

        settings = self._settings
        command = [sys.executable, "-P", "-m", "smartsim.app.worker", str(self._address), "--user", settings.user]
        command += ["--password-file", settings.password_file, "--device", self._device, "--ready", str(told)]
        command += ["--threads", str(settings.threads)]
        command += ["--intra-op", str(settings.intra_op), "--inter-op", str(settings.inter_op)]
        with self._lock, open(self._log, "ab") as log:
            self._log_begin = log.tell()
            if self._stopped.is_set():
                raise InterruptedError("no worker is to be started any more")
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=worker_environment(self._device, os.environ),
                pass_fds=[told, self._socket],
            )
            return self._process

    def _last_words(self) -> str:
        """Return the last line that the worker wrote, behind a colon; nothing if it wrote nothing."""
        with open(self._log, "rb") as log:
            log.seek(max(self._log_begin, log.seek(0, os.SEEK_END) - _LOG_TAIL))
            lines = log.read().decode(errors="replace").split("\n")
        return next((f": {line.strip()}" for line in reversed(lines) if line.strip()), "")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"  # a real-time signal has no name
