"""The Slurm that the tests of launchers run on is a real one, with four hosts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from schedulers import DEADLINE, Slurm

# Greets whoever connects; tells its standard output where.
GREETER = """
import socket
with socket.create_server(("", 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    for _ in range(2):
        connection, _ = listener.accept()
        with connection:
            connection.sendall(socket.gethostname().encode())
"""
CALLER = "import socket, sys; print(socket.create_connection((sys.argv[1], int(sys.argv[2])), 30).recv(100).decode())"
GREEDY = "memory = bytearray(400 << 20); memory[::4096] = bytes(len(memory[::4096])); input()"


def submit(slurm: Slurm, directory: Path, command: str, *options: str) -> str:
    return slurm.ask("sbatch", "--parsable", f"--output={directory}/%j", *options, f"--wrap={command}").strip()


def test_each_node_has_a_name_and_processes_and_a_boot_of_its_own(slurm: Slurm) -> None:
    said = slurm.ask("srun", "--nodes=4", "sh", "-c", "echo $(hostname) $(cat /proc/sys/kernel/random/boot_id)")
    hosts, boots = zip(*(line.split() for line in said.splitlines()), strict=True)
    assert sorted(hosts) == sorted(slurm.nodes)
    assert len(set(boots)) == 4
    first_process = slurm.ask("srun", f"--nodelist={slurm.nodes[1]}", "cat", "/proc/1/cmdline").split("\0")
    assert slurm.nodes[1] in first_process


def test_what_a_node_serves_is_found_by_its_name_from_here_and_from_other_nodes(slurm: Slurm) -> None:
    node, other = slurm.nodes[1:3]
    command = ["srun", f"--nodelist={node}", sys.executable, "-c", GREETER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        port = server.stdout.readline().strip()
        assert slurm.ask(sys.executable, "-c", CALLER, node, port).strip() == node
        assert slurm.ask("srun", f"--nodelist={other}", sys.executable, "-c", CALLER, node, port).strip() == node
        assert server.wait(DEADLINE) == 0


def test_the_exit_code_of_a_job_is_in_the_accounting(slurm: Slurm, tmp_path: Path) -> None:
    job = submit(slurm, tmp_path, "exit 7")
    assert slurm.accounting(job, "State,ExitCode") == "FAILED|7:0"


def test_steps_get_gpus_of_their_own(slurm: Slurm) -> None:
    steps = "for i in 1 2; do srun --exact --ntasks=1 --gpus=1 sh -c 'echo $CUDA_VISIBLE_DEVICES; sleep 1' & done; wait"
    said = slurm.ask("salloc", "--quiet", "--nodes=1", "--ntasks=2", "--gpus=2", "bash", "-c", steps)
    assert sorted(said.split()) == ["0", "1"]


def test_what_takes_more_memory_than_it_asked_for_is_killed(slurm: Slurm, tmp_path: Path) -> None:
    job = submit(slurm, tmp_path, f"sleep 60 | {sys.executable} -c '{GREEDY}'", "--mem=100")
    assert slurm.accounting(job, "State,ExitCode") == "FAILED|0:9"
    assert "Exceeded job memory limit" in (tmp_path / job).read_text()


def test_a_job_goes_on_while_the_controller_is_stopped(slurm: Slurm, tmp_path: Path) -> None:
    go = tmp_path / "go"
    job = submit(slurm, tmp_path, f"until [ -e {go} ]; do sleep 0.1; done; exit 3")
    with slurm.controller_stopped():
        assert "DOWN" in slurm.run("scontrol", "ping").stdout
        go.touch()
    assert slurm.accounting(job, "State,ExitCode") == "FAILED|3:0"


def test_a_paused_controller_lets_its_clients_wait(slurm: Slurm) -> None:
    with slurm.controller_paused(), pytest.raises(subprocess.TimeoutExpired):
        slurm.run("squeue", deadline=2)
    assert slurm.ask("squeue", "--noheader") == ""


def test_a_job_is_lost_with_its_node(slurm: Slurm, tmp_path: Path) -> None:
    node, started = slurm.nodes[3], tmp_path / "started"
    options = [f"--nodelist={node}", "--no-requeue"]
    job = submit(slurm, tmp_path, f"mkfifo {started}; echo $(hostname) >{started}; sleep 600", *options)
    assert slurm.ask("sh", "-c", f"until [ -p {started} ]; do sleep 0.1; done; cat {started}").strip() == node
    with slurm.node_down(node):
        assert slurm.accounting(job, "State") == "NODE_FAIL"
