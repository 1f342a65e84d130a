"""Who drives a database: a file in its directory, by which the processes beside its servers and `smart ps` know."""

from __future__ import annotations

import json
import os
import posixpath
from typing import TYPE_CHECKING

from smartsim.adapters.wlm.proc import identity, runs

if TYPE_CHECKING:
    from smartsim.ports.file_system import FileReader, FileSystem

_FILE = "driver.json"


def driver_file(directory: str) -> str:
    """Return the path of the file for the database in a directory."""
    return posixpath.join(directory, _FILE)


def record_driver(files: FileSystem, directory: str) -> None:
    """Record that this process drives the database in a directory: it starts it, or has taken it over."""
    driver = {"pid": os.getpid(), "identity": identity(os.getpid()), "host": os.uname().nodename}
    files.write(driver_file(directory), json.dumps(driver).encode() + b"\n", 0o600)


def find_driver(files: FileReader, directory: str) -> int | None:
    """Return the process that drives the database in a directory; None if it has gone, or was never recorded.

    One on another machine, such as the node of a login, counts as running: nothing here can tell.
    """
    try:
        recorded = json.loads(files.read(driver_file(directory)))
        pid, known = int(recorded["pid"]), str(recorded["identity"])
        is_here = recorded.get("host", os.uname().nodename) == os.uname().nodename
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return pid if runs(pid, known) or not is_here else None
