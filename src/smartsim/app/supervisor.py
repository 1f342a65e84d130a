"""What keeps the workers of a shard running: one process per device, started again when it ends.

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
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from smartsim.adapters.wlm.exits import exit_descriptor
from smartsim.adapters.work.supervision import RespSupervision
from smartsim.app.devices import find_devices, worker_environment
from smartsim.app.runtimes import installed_versions
from smartsim.domain.addresses import Address
from smartsim.ports.work_source import Kill, WorkRefusedError, WorkSourceLostError

if TYPE_CHECKING:
    import subprocess

_CONNECT_INTERVAL: Final = 0.002  # seconds between two attempts to reach a server that is starting
_FIRST_PAUSE: Final = 0.1  # seconds before the second restart in a row; the first comes at once: requests wait
_LONGEST_PAUSE: Final = 5.0  # seconds
_LONG_LIFE: Final = 1.0  # seconds after which a worker that ends is no reason to be careful
_FAILED_STARTS: Final = 5  # in a row; then clients are told
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
    """

    name: str
    directory: str
    user: str
    password_file: str
    devices: list[str] | None
    threads: int
    intra_op: int
    inter_op: int


def supervise(settings: ShardSettings, server: int, path: str) -> None:
    """Run workers for a shard until its server ends.

    Args:
        settings: of the shard.
        server: the process id of the server; the parent of this process.
        path: of its unix socket, alone in its directory; both are removed.
    """
    # A signal to the whole group means that the server is about to end: workers are needed no more. It is received as
    # a byte, among the other things that are waited for.
    wake, signals = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(signals)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: None)
    try:
        ended = exit_descriptor(server)
        if os.getppid() == server:
            _keep_all(settings, path, _Events(ended, wake))
    except ProcessLookupError:
        pass  # the server did not even start
    except WorkSourceLostError as error:
        print(f"The workers of {settings.name} cannot reach it: {error}", file=sys.stderr, flush=True)  # noqa: T201
        os.kill(server, signal.SIGTERM)
    finally:
        shutil.rmtree(os.path.dirname(path), ignore_errors=True)


class _Events:
    """What the main thread waits for.

    Args:
        ended: readable once the server has ended.
        wake: readable once a signal has come.
    """

    def __init__(self, ended: int, wake: int) -> None:
        self._ended = ended
        self._poll = select.poll()
        self._poll.register(ended, select.POLLIN)
        self._poll.register(wake, select.POLLIN)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait; return whether anything happened."""
        return bool(self._poll.poll(None if seconds is None else seconds * 1000))

    def wait_ended(self) -> None:
        """Wait for the end of the server."""
        select.select([self._ended], [], [])


def _keep_all(settings: ShardSettings, path: str, events: _Events) -> None:
    with open(settings.password_file, encoding="utf-8") as stream:
        password = stream.read().strip()
    versions = installed_versions()
    devices = find_devices(os.environ) if settings.devices is None else settings.devices
    while not os.path.exists(path):
        if events.wait(_CONNECT_INTERVAL):
            return
    # The socket is reached through a descriptor, so that its file can go at once: whatever kills all of this, and
    # however suddenly, leaves nothing behind.
    socket = os.open(path, os.O_PATH | os.O_CLOEXEC)
    keepers = [_Keeper(settings, device, socket, password, versions) for device in devices]
    try:
        for keeper in keepers:
            while not keeper.announce():
                if events.wait(_CONNECT_INTERVAL):
                    return
        shutil.rmtree(os.path.dirname(path), ignore_errors=True)
        for keeper in keepers:
            keeper.start()
        events.wait()
    finally:
        for keeper in keepers:
            keeper.stop()
        events.wait_ended()


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
        self._address = Address.unix(f"/proc/self/fd/{socket}")
        self._password = password
        self._versions = versions
        self._log = os.path.join(settings.directory, f"{settings.name}_worker_{device.replace(':', '')}.log")
        self._lock = threading.Lock()  # for what follows
        self._supervision: RespSupervision | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"keep-{device}")

    def announce(self, unavailable: str = "") -> bool:
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
                if unavailable:
                    supervision.unavailable(unavailable)
            except WorkSourceLostError:
                supervision.close()
                raise
        except WorkRefusedError as error:
            if str(error).startswith("LOADING"):
                return False
            raise
        except WorkSourceLostError:
            return False
        with self._lock:
            before, self._supervision = self._supervision, supervision
        threading.Thread(target=self._listen, args=[supervision, unavailable], daemon=True).start()
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

    def _listen(self, supervision: RespSupervision, unavailable: str) -> None:
        """End workers that the shard wants ended."""
        try:
            while True:
                item = supervision.next()
                with self._lock:
                    if isinstance(item, Kill) and self._process is not None and self._process.pid == item.process:
                        self._process.kill()
        except WorkSourceLostError:
            supervision.close()
            if self._supervision is supervision and not self._stopped.is_set():
                self.announce(unavailable)  # somebody closed the connection alone; or the server ends

    def _keep(self) -> None:
        failed_starts = short_lives = 0
        while (worker := self._start_worker()) is not None:
            process, ready = worker
            began = time.monotonic()
            with open(ready, "rb") as pipe:
                started = bool(pipe.read(1))
            if started and failed_starts >= _FAILED_STARTS:
                self.announce()
            code = process.wait()
            if self._stopped.is_set():
                return
            failed_starts = 0 if started else failed_starts + 1
            if failed_starts >= _FAILED_STARTS:
                self.announce(f"{self._last_words()} (see {self._log})")
            short_lives = 0 if time.monotonic() - began > _LONG_LIFE else short_lives + 1
            pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (short_lives - 2)) if short_lives > 1 else 0.0
            how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
            print(  # noqa: T201 - its standard error is the shard's
                f"The worker of {self._settings.name} for {self._device} ended {how}: the next starts in {pause:g} s",
                file=sys.stderr,
                flush=True,
            )
            self._stopped.wait(pause)

    def _start_worker(self) -> tuple[subprocess.Popen[bytes], int] | None:
        """Start a process.

        Returns:
            The process, and the descriptor of a pipe from which a byte can be read once it works for the shard; None
            when there shall be no more.
        """
        import subprocess

        settings = self._settings
        ready, told = os.pipe2(os.O_CLOEXEC)
        command = [sys.executable, "-P", "-m", "smartsim.app.worker", str(self._address), "--user", settings.user]
        command += ["--password-file", settings.password_file, "--device", self._device, "--ready", str(told)]
        command += ["--threads", str(settings.threads)]
        command += ["--intra-op", str(settings.intra_op), "--inter-op", str(settings.inter_op)]
        try:
            with self._lock, open(self._log, "ab") as log:
                if self._stopped.is_set():
                    os.close(ready)
                    return None
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=worker_environment(self._device, os.environ),
                    pass_fds=[told, self._socket],
                )
                return self._process, ready
        finally:
            os.close(told)

    def _last_words(self) -> str:
        with open(self._log, "rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _LOG_TAIL))
            lines = log.read().decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "they do not say why")
