"""Nothing of a cluster is left when it has ended, however it ends."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from schedulers import DEADLINE, RUN, Cluster, GridEngine, Slurm, running_process

HOSTS = Path("/etc/hosts")
KINDS: dict[str, Callable[[Path, subprocess.Popen[bytes]], Cluster]] = {"slurm": Slurm, "sge": GridEngine}


def processes_of(directory: Path) -> list[psutil.Process]:
    """Return the processes of the cluster in a directory, which have it in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("BASE") == str(directory):
                found.append(process)
        except psutil.Error:
            continue  # it has ended
    return found


def interface_of(cluster: Cluster) -> tuple[int, str]:
    """Return the interface of this machine that leads to its nodes."""
    (line,) = [line for line in HOSTS.read_text().splitlines() if f" {cluster.nodes[0]} " in line]
    name = line.split()[-1]
    return socket.if_nametoindex(name), name


def hosts_of_others() -> list[str]:
    """Return the lines of `/etc/hosts` that belong to no cluster of tests."""
    return [line for line in HOSTS.read_text().splitlines() if " # test cluster " not in line]


def assert_has_gone(interface: tuple[int, str]) -> None:
    """Assert that it is not there, nor hosts behind it; another cluster may have one of that name by now."""
    assert interface not in socket.if_nameindex()
    if interface[1] not in dict(socket.if_nameindex()).values():
        assert interface[1] not in HOSTS.read_text().split()


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_left_of_a_cluster_that_has_ended(kind: str, tmp_path: Path) -> None:
    before = hosts_of_others()
    with running_process(kind, tmp_path) as process:
        cluster = KINDS[kind](tmp_path, process)
        interface = interface_of(cluster)
        assert interface in socket.if_nameindex()
        assert processes_of(tmp_path)
    assert process.returncode == 0
    assert processes_of(tmp_path) == []
    assert_has_gone(interface)
    assert hosts_of_others() == before


def test_nothing_is_left_of_a_cluster_that_was_killed_but_names_and_those_leave_with_the_next(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    with running_process("sge", first) as process:
        interface = interface_of(GridEngine(first, process))
        process.kill()
        process.wait(DEADLINE)
        deadline = time.monotonic() + DEADLINE
        while processes_of(first) or interface in socket.if_nameindex():
            assert time.monotonic() < deadline, "it is still there"
            time.sleep(0.05)
    with running_process("sge", second) as process:
        GridEngine(second, process)
    assert_has_gone(interface)


def test_what_is_not_installed_is_named_with_what_mends_it() -> None:
    script = f". {RUN.parent}/common.sh; need 'some-package another' sh no-such-command"
    command = ["bash", "-c", script]
    result = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert result.returncode == 1
    assert result.stderr == (
        "clusters: no no-such-command; on Debian: apt-get install --no-install-recommends some-package another\n"
    )


def test_what_fails_at_the_start_says_why(tmp_path: Path) -> None:
    result = subprocess.run(
        [str(RUN), "slurm", str(tmp_path / ("long" * 20))],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert result.returncode == 1
    assert "is too long" in result.stderr
