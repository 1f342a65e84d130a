"""Runtimes of Dragon on this machine, for tests."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from smartsim.adapters.clock.system import SystemClock
from smartsim.adapters.filesystem.posix import PosixFileSystem
from smartsim.adapters.wlm.dragon.manager import RANKS, DragonWorkloadManager
from smartsim.adapters.wlm.dragon.runtime import Runtimes
from smartsim.adapters.wlm.local import LocalWorkloadManager
from smartsim.domain.lifecycle import Ended, JobEvent
from smartsim.domain.steps import Step

DEADLINE = 60.0
_LOG = logging.getLogger(__name__)


def dragon_manager(directory: Path) -> DragonWorkloadManager:
    """Return another manager, as another driver would have it.

    Args:
        directory: of the runtimes; managers of the same one use the same runtime.
    """
    files, host = PosixFileSystem(), socket.gethostname()
    children = LocalWorkloadManager()
    runtimes = Runtimes(children, files, str(directory), host, (), transport="tcp", timeout=DEADLINE)
    return DragonWorkloadManager(children, runtimes, files, SystemClock(), host, _LOG.log)


@pytest.fixture(scope="session")
def dragon_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The directory of a runtime that lives as long as the session; it starts when the first test asks for it."""
    directory = tmp_path_factory.mktemp("dragon")
    manager = dragon_manager(directory)
    ended = threading.Event()

    def report(_: str, event: JobEvent) -> None:
        if isinstance(event, Ended):
            ended.set()

    out = str(directory / "first")
    manager.submit([Step("first", ("true",), (), {}, str(directory), out, out, ranks=RANKS)], report)
    assert ended.wait(DEADLINE)
    yield directory
    manager.close()
