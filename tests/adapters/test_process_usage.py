"""What trees of real processes use, and what the driver of GPUs tells of them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from smartsim.adapters.process.gpus import GpuUsage, NvidiaGpus, parse
from smartsim.adapters.process.scripted import ScriptedProcessRunner
from smartsim.adapters.process.subprocess import SubprocessRunner
from smartsim.adapters.process.usage import ProcMeter, _owner, _Process
from smartsim.ports.process_meter import ProcessUsage
from smartsim.ports.process_runner import Completed

MIB = 2**20


def measured(program: str, look: Callable[[int], ProcessUsage | None]) -> ProcessUsage | None:
    """Run a program in a session of its own, and look at it once it has printed a line."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-S", "-c", program], stdin=pipe, stdout=pipe, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        usage = look(process.pid)
        process.communicate(b"\n", timeout=30)
    return usage


def one(pid: int) -> ProcessUsage | None:
    return ProcMeter().measure([pid]).get(pid)


def test_memory_is_what_a_process_holds() -> None:
    usage = measured("held = b'x' * (200 << 20); print('here', flush=True); input()", one)
    assert usage is not None
    assert 200 * MIB <= usage.memory <= 260 * MIB
    assert usage.processes == 1


def test_cpu_time_counts_children_that_were_waited_for() -> None:
    burn = "import os; begin = os.times()\nwhile sum(os.times()[:2]) - sum(begin[:2]) < 0.3: pass"
    program = f"import os\npid = os.fork()\nif pid == 0:\n exec({burn!r})\n os._exit(0)\nos.waitpid(pid, 0)\n"
    usage = measured(f"{program}print('here', flush=True); input()", one)
    assert usage is not None
    assert 0.28 <= usage.cpu_seconds <= 3.0


# A child that stays in the session and whose parent has gone; one that has left the session; and one of it.
FAMILY = """
import os, time
gone, wait = os.pipe(), os.pipe()
if os.fork() == 0:
    if os.fork() == 0:
        os.close(wait[1]); os.write(gone[1], b"x"); os.read(wait[0], 1); os._exit(0)
    os._exit(0)
os.wait()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.close(wait[1]); os.write(gone[1], b"x"); os.read(wait[0], 1); os._exit(0)
    os.close(wait[1]); os.write(gone[1], b"x"); os.read(wait[0], 1); os._exit(0)
left = 3
while left:
    left -= len(os.read(gone[0], 3))
print("here", flush=True); input()
"""


def test_orphans_and_those_that_left_the_session_belong_to_the_tree() -> None:
    usage = measured(FAMILY, one)
    assert usage is not None
    assert usage.processes == 4


def test_a_tree_within_another_counts_once() -> None:
    def look(pid: int) -> ProcessUsage | None:
        found = ProcMeter().measure([pid, os.getpid()])
        assert found[os.getpid()].processes >= 1
        return found[pid]

    usage = measured("print('here', flush=True); input()", look)
    assert usage is not None
    assert usage.processes == 1


def test_a_process_that_nobody_waited_for_does_not_run() -> None:
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert ProcMeter().measure([process.pid]) == {}
    process.wait()


def test_parents_that_seem_to_go_in_a_circle_belong_to_nobody() -> None:
    # The parent of 7 was 8, which ended; 8 is now a child of 7. They were not read at one time.
    processes = {pid: _Process(parent, 1, 0, 0, runs=True) for pid, parent in ((7, 8), (8, 7), (9, 8))}
    assert [_owner(pid, processes, {5: 5}) for pid in (9, 7, 8)] == [None, None, None]


ANSWER = """<?xml version="1.0" ?>
<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">
<nvidia_smi_log>
  <attached_gpus>2</attached_gpus>
  <gpu id="00000000:01:00.0">
    <utilization><gpu_util>50 %</gpu_util><memory_util>3 %</memory_util></utilization>
    <processes>
      <process_info><pid>11</pid><type>C</type><used_memory>512 MiB</used_memory></process_info>
      <process_info><pid>12</pid><type>C</type><used_memory>N/A</used_memory></process_info>
    </processes>
  </gpu>
  <gpu id="00000000:02:00.0">
    <utilization><gpu_util>N/A</gpu_util></utilization>
    <processes>
      <process_info><pid>11</pid><type>C</type><used_memory>256 MiB</used_memory></process_info>
    </processes>
  </gpu>
</nvidia_smi_log>
"""


def test_memory_of_all_gpus_is_summed() -> None:
    assert parse(ANSWER) == {11: GpuUsage(768 * MIB, 0.25), 12: GpuUsage(0, 0.5)}


def test_the_driver_is_asked_once_in_a_while() -> None:
    now = 100.0
    command = ("nvidia-smi", "-q", "-x")
    runner = ScriptedProcessRunner({"nvidia-smi": "nvidia-smi"}, {command: Completed(0, ANSWER, "")})
    gpus = NvidiaGpus(runner, "nvidia-smi", lambda: now)
    assert set(gpus.usage()) == {11, 12}
    runner._answers[command] = Completed(0, ANSWER.replace(">11<", ">13<"), "")
    now += 5
    assert set(gpus.usage()) == {11, 12}
    now += 10
    assert set(gpus.usage()) == {12, 13}


@pytest.mark.parametrize("answer", [Completed(9, "", "no driver"), Completed(0, "<nvidia_smi_log>", ""), None])
def test_a_driver_that_does_not_answer_is_not_asked_again(answer: Completed | None) -> None:
    command = ("nvidia-smi", "-q", "-x")
    now = 0.0
    runner = ScriptedProcessRunner({"nvidia-smi": "nvidia-smi"}, {} if answer is None else {command: answer})
    gpus = NvidiaGpus(runner, "nvidia-smi", lambda: now)
    assert gpus.usage() == {}
    runner._answers[command] = Completed(0, ANSWER, "")
    now = 1000.0
    assert gpus.usage() == {}


def test_a_machine_without_the_driver_has_no_gpus() -> None:
    assert NvidiaGpus.find(ScriptedProcessRunner({})) is None


def test_a_process_on_a_gpu_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def look(pid: int) -> ProcessUsage | None:
        program = tmp_path / "nvidia-smi"
        (tmp_path / "answer").write_text(ANSWER.replace(">11<", f">{pid}<"))
        program.write_text(f'#!/bin/sh\n[ "$*" = "-q -x" ] && cat {tmp_path}/answer\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        return ProcMeter(NvidiaGpus.find(SubprocessRunner())).measure([pid]).get(pid)

    usage = measured("print('here', flush=True); input()", look)
    assert usage is not None
    assert (usage.gpu_memory, usage.gpu_utilization) == (768 * MIB, 0.25)
